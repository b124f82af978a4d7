"""The catalogue: models, what they cost, where they are served, and the names they go by.

Rows in `data/*.toml` and an operator's file become a `Catalogue` (`load`), which answers questions (`resolve`) and is
replaced whole when the file changes (`reload`). Pure but for reading files; how an upstream is spoken to is the
business of `providers`.
"""
