"""Which processes are counted as a contender's."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bench import proc


def test_a_process_that_left_its_parent_and_its_environment_is_found_by_where_it_works(tmp_path: Path) -> None:
    with subprocess.Popen(["cat"], cwd=tmp_path, env={}, stdin=subprocess.PIPE, start_new_session=True) as stray:
        found = proc.tree(root=1 << 30, mark="no-such-mark", directory=tmp_path)
        elsewhere = proc.tree(root=1 << 30, mark="no-such-mark", directory=tmp_path / "other")
        stray.communicate()
    assert stray.pid in found
    assert stray.pid not in elsewhere
