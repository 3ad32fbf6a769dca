"""From published face data to a prepared set: read, cut, cleaned, split, balanced and indexed."""
