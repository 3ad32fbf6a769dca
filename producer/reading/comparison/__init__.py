"""Several lectures side by side, as one HTML file without scripts."""
