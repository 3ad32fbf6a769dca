"""Sources: what the command line names, and the opened recordings and live streams as the feed sees them."""
