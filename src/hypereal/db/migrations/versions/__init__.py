"""The schema's history, one revision per file, oldest first by number."""
