"""A lecture as one HTML file for people. `writing` makes it from charts, words, tables and a template (`page`)."""
