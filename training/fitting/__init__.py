"""One fit: from a recipe and labelled faces to a network, its checkpoints and its charts."""
