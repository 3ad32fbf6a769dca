"""The web server: pages of lectures for people, recordings that are added there, and JSON for programs."""
