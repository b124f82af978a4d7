"""A simulated upstream: an HTTP server of its own that speaks OpenAI's wire format and fails on demand.

It stands apart: the server reaches it over a socket like any provider, and neither imports the other.
"""
