"""The embedded mode: while a command runs, a private Redis in the user's data folder, and workers beside it."""
