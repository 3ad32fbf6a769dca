"""The web server: pages of lectures for people, recordings that are added there, and JSON for programs."""

TOKEN = "LECTUREPULSE_SERVE_TOKEN"  # nosec B105  # a name
"""The environment variable with the token of the pages."""
