"""A read-only web server: live pages of lectures for people, JSON and server-sent events for programs."""
