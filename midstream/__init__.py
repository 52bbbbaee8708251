"""Midstream's core: what it means for a stream to survive a promotion, free of Locust."""

__version__ = "0.1.0"
