"""The embedded cluster that stands in for a real one on a bare machine."""
