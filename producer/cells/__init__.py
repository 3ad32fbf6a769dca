"""Cells: each one is a Redis with its workers. Which cell has which lecture, and the connections to all of them."""
