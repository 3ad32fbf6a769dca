"""What report, live page and terminal share: colours, thresholds, the form of times, words of caution. Pure."""
