"""The producer: feeds a lecture to the workers, and reads their results back."""
