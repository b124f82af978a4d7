"""Hypereal: an open, self-hostable AI cloud behind one key. Importing this package starts nothing."""

__version__ = "0.1.0"
