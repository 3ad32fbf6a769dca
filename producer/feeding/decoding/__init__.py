"""What runs in the decoder's child process: it turns a file or a stream into sampled JPEGs. It does not know Redis."""
