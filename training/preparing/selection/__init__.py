"""Which of the examined faces stay in a prepared set, and in which split. Pure functions of lists of faces."""
