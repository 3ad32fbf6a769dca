"""The commands of `training`, one per module. They read options and print; the work is done in the other rooms."""
