"""A Service on a port of this machine, through the API server."""
