"""Where the writer puts journal records that can't be read or applied, so that they block nothing and are not lost."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import structlog

from hypereal.gateway.tail import Poison

log = structlog.get_logger()


class Quarantine:
    """A file of JSON lines, each with a record's bytes (base64), where it came from and why it was refused."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, poison: Poison) -> None:
        """Keep the record on the disk and say so in the log."""
        line = {
            "instance": poison.instance,
            "segment": poison.segment,
            "cause": poison.cause,
            "payload": base64.b64encode(poison.payload).decode(),
        }
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "a") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())
        log.error("journal.poison", instance=poison.instance, segment=poison.segment, cause=poison.cause)
