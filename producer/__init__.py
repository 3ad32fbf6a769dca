"""The producer: it feeds lectures to the workers, and reads their results."""
