"""The embedded mode: a private Redis in the user's data folder, and workers beside it, while a command runs."""
