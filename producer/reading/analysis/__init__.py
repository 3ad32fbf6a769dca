"""Analysis of a lecture's events: timeline, moments, summary and names. Pure: events in, values out."""
