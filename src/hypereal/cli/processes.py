"""Child processes: started, kept alive, stopped in order. What they do, and why in that order, is `serve`'s business.

Each child is `python -m hypereal <command>` in a session of its own, so that a Ctrl-C at the terminal reaches the
supervisor alone and it decides who stops when.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from hypereal.cli.lineage import PARENT_VARIABLE

TICK_S = 0.1
STEADY_S = 10.0
"""A child that lived this long had started well: its end is not counted towards the delay before the next start."""
FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 30.0
START_ATTEMPTS = 3

log = structlog.get_logger(__name__)


class ChildFailed(Exception):
    """A child does not come up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What a child runs: the arguments after `python -m hypereal`, the descriptors that it inherits, its patience."""

    name: str
    arguments: tuple[str, ...]
    descriptors: tuple[int, ...] = ()
    stop_within_s: float


class Child:
    """One program that should be running."""

    def __init__(self, program: Program, environment: Mapping[str, str]) -> None:
        self.program = program
        self.failures = 0
        self._environment = {**environment, PARENT_VARIABLE: str(os.getpid())}
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._start_after = 0.0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def keep_alive(self, now: float) -> None:
        """Start the program if it is not running and its delay has passed; `now` is monotonic."""
        if self._process is None:
            if now >= self._start_after:
                self._start(now)
            return
        code = self._process.poll()
        if code is None:
            return
        self._process = None
        self.failures = 0 if now - self._started_at >= STEADY_S else self.failures + 1
        delay = min(FIRST_DELAY_S * 2 ** (self.failures - 1), LONGEST_DELAY_S) if self.failures else 0.0
        self._start_after = now + delay
        log.error("child.ended", child=self.program.name, exit_code=code, restart_in_s=delay)

    def ask_to_stop(self) -> None:
        if self._process is not None:
            self._process.terminate()

    def await_end(self, deadline: float) -> None:
        """Wait until the process has ended; kill it at `deadline` (monotonic)."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.error("child.killed", child=self.program.name, reason="it did not stop in time")
            self._process.kill()
            self._process.wait()
        self._process = None

    def _start(self, now: float) -> None:
        self._started_at = now
        self._process = subprocess.Popen(  # noqa: S603 (our own interpreter and arguments)
            [sys.executable, "-m", "hypereal", *self.program.arguments],
            env=self._environment,
            pass_fds=self.program.descriptors,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        log.debug("child.started", child=self.program.name, pid=self._process.pid)


class Supervisor:
    """Keeps children alive until SIGTERM, SIGINT or SIGHUP; made in the main thread, which must then call `run`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._children: list[Child] = []
        self.is_stopping = False
        for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(sign, self._note_signal)

    def start(self, programs: Sequence[Program], is_ready: Callable[[], bool], *, timeout_s: float) -> None:
        """Start `programs` and return when they are ready, or when a stop is asked for.

        Raises `ChildFailed` when one of them ends three times over, or the time is up.
        """
        self._children += [Child(program, self._environment) for program in programs]
        deadline = time.monotonic() + timeout_s
        while not self.is_stopping:
            self._keep_alive()
            if is_ready():
                return
            failed = next((child for child in self._children if child.failures >= START_ATTEMPTS), None)
            if failed is not None:
                raise ChildFailed(f"the {failed.program.name} does not start; its reason is above")
            if time.monotonic() > deadline:
                names = ", ".join(program.name for program in programs)
                raise ChildFailed(f"not ready after {timeout_s:g} s: {names}")
            time.sleep(TICK_S)

    def run(self, every_tick: Callable[[], None]) -> None:
        """Keep everything alive until a stop is asked for."""
        while not self.is_stopping:
            self._keep_alive()
            every_tick()
            time.sleep(TICK_S)

    def stop(self) -> None:
        """Stop the children, those started last first; programs of one name stop together."""
        while self._children:
            name = self._children[-1].program.name
            group = [child for child in self._children if child.program.name == name]
            self._children = [child for child in self._children if child.program.name != name]
            for child in group:
                child.ask_to_stop()
            deadline = time.monotonic() + max(child.program.stop_within_s for child in group)
            for child in group:
                child.await_end(deadline)

    def _keep_alive(self) -> None:
        now = time.monotonic()
        for child in self._children:
            child.keep_alive(now)

    def _note_signal(self, number: int, _frame: object) -> None:
        if self.is_stopping and number == signal.SIGINT:
            self._kill_all()
        self.is_stopping = True

    def _kill_all(self) -> None:
        """A second Ctrl-C: whoever sits at the terminal will not wait for answers in progress."""
        for child in self._children:
            if child.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGKILL)
