"""From the events of a lecture: timeline, moments, summary, losses, damaged frames, names. Pure: values in and out."""
