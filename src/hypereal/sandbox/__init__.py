"""A simulated upstream: an HTTP server of its own that speaks OpenAI's, Anthropic's and Google's wire formats.

It answers from the prompt or from a script, and fails on demand.

It stands apart: the server reaches it over a socket like any provider, and neither imports the other.
"""
