"""The benchmark's reading and reporting. Nothing is measured here."""
