"""The reading wing: what a lecture left in Redis, followed live or replayed, listed, exported, summed up, forgotten."""
