"""What the command line shows of a lecture: lines of events, progress, tables, and a table that moves."""
