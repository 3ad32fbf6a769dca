"""Which of the examined faces are in a prepared set, and in which split."""
