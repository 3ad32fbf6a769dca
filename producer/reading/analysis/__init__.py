"""Analysis of a lecture's events: timeline, moments, summary, losses and names. Pure: events in, values out."""
