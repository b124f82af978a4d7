"""What ties a child process to the one that started it: it is asked to stop when that one is gone, however it went."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

PARENT_VARIABLE = "HYPEREAL_PARENT"
_PR_SET_PDEATHSIG = 1
_LOOK_EVERY_S = 1.0


def follow_parent() -> None:
    """Have SIGTERM sent to this process when its parent ends; does nothing unless a parent named itself."""
    parent = os.environ.get(PARENT_VARIABLE)
    if not parent:
        return
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    else:
        threading.Thread(target=_watch, args=[int(parent)], name="lineage", daemon=True).start()
    if os.getppid() != int(parent):  # it was gone before we asked
        os.kill(os.getpid(), signal.SIGTERM)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY_S)
    os.kill(os.getpid(), signal.SIGTERM)
