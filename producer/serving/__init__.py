"""The serving wing: a read-only web page and JSON of lectures as they are now, over HTTP."""
