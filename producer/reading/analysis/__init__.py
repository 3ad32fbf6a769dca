"""What the events of a lecture come to: timeline, moments, summary and names. Pure: events in, values out."""
