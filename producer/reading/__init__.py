"""Reading lectures from Redis: list them, follow them, export them, report on them, forget them."""
