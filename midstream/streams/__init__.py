"""One HTTP stream from send to its end, as data."""
