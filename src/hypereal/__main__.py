"""`python -m hypereal`: the same as the `hypereal` command."""

from __future__ import annotations

from hypereal.cli import main

if __name__ == "__main__":
    main()
