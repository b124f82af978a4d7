"""Who takes short turns, as the system tells it."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import subprocess
import sys

import pytest

from hypereal.kit.turns import TURN_NS, take_short_turns

_SCHED_GETATTR = {"x86_64": 315, "aarch64": 275}


def _turn_ns(pid: int) -> int:
    attributes = ctypes.create_string_buffer(48)
    assert ctypes.CDLL(None).syscall(_SCHED_GETATTR[platform.machine()], pid, attributes, 48, 0) == 0
    return int(struct.unpack("=IIQiIQQQ", attributes.raw)[5])


def _knows_turns() -> bool:
    major, minor = map(int, platform.release().split(".")[:2])
    return (major, minor) >= (6, 12)


def test_a_process_and_those_it_starts_later_take_short_turns_and_keep_their_niceness() -> None:
    lines = "import os, subprocess, sys\nfrom hypereal.kit.turns import take_short_turns\nos.nice(3)\n"
    lines += "take_short_turns()\nchild = subprocess.Popen(['cat'])\nprint(child.pid, flush=True)\nchild.wait()\n"
    with subprocess.Popen(
        [sys.executable, "-c", lines], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        found = [(_turn_ns(pid), os.getpriority(os.PRIO_PROCESS, pid)) for pid in (process.pid, child)]
        process.communicate()
    niceness = min(19, os.getpriority(os.PRIO_PROCESS, 0) + 3)
    assert [nice for _, nice in found] == [niceness, niceness]
    assert {turn == TURN_NS for turn, _ in found} == {_knows_turns()}


def test_a_process_that_is_gone_is_nobodys_loss() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    take_short_turns(process.pid)


def test_an_unknown_machine_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    before = _turn_ns(0)
    monkeypatch.setattr(platform, "machine", lambda: "pdp11")
    take_short_turns()
    monkeypatch.undo()
    assert _turn_ns(0) == before
