"""Short turns on the processor, for work that nobody waits for.

Linux lets a process that has begun to run keep its core for a slice of some milliseconds, whatever its niceness, even
when one that answers requests wakes up (its scheduler since 6.6 protects slices). A process that takes short turns
loses the core after a tenth of a millisecond instead, and gets as much of it in the end.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import struct

TURN_NS = 100_000
"""The shortest slice that Linux takes (`sched_setattr(2)`, since 6.12; before that the value is ignored)."""
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
"""Numbers of the system call, which the C library does not wrap."""
_ATTRIBUTES = struct.Struct("=IIQiIQQQ")
"""`struct sched_attr`: size, policy, flags, nice, priority, runtime, deadline, period."""


def take_short_turns(pid: int = 0) -> None:
    """Have a process, and those that it starts from now on, take short turns; 0 is this one.

    Nothing happens where the system has no such thing or does not allow it.
    """
    number = _SCHED_SETATTR.get(platform.machine())
    if number is None or platform.system() != "Linux":
        return
    with contextlib.suppress(OSError):
        policy, niceness = os.sched_getscheduler(pid), os.getpriority(os.PRIO_PROCESS, pid)
        attributes = _ATTRIBUTES.pack(_ATTRIBUTES.size, policy, 0, niceness, 0, TURN_NS, 0, 0)
        ctypes.CDLL(None).syscall(number, pid, attributes, 0)
