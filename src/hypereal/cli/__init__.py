"""The `hypereal` command. Each group of commands is a file; what they do is done by the domains that they call.

Nothing is imported before it is known what was asked for: the child processes of a server start through here as well,
and each should load its own part only.
"""

from __future__ import annotations

import sys

CHILDREN = frozenset({"worker", "writer", "sandbox"})


def main() -> None:
    """Run the command line."""
    if len(sys.argv) > 1 and sys.argv[1] in CHILDREN:
        # Libraries load rich wherever it is installed: 7 MB in every process, for colours that no child shows.
        sys.modules["rich"] = None  # type: ignore[assignment]
        from hypereal.cli.children import main as run  # noqa: PLC0415
    else:
        from hypereal.cli.program import main as run  # noqa: PLC0415
    run()
