"""One Report value rendered, a file per format."""
