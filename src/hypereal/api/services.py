"""What the framework routes are given: the services of one server process, composed once by `app`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hypereal.api.readiness import ReadinessProbe
from hypereal.catalog.resolve import Catalogue
from hypereal.db import AsyncEngine
from hypereal.gateway.subjects import Subjects
from hypereal.history import History
from hypereal.identity.verifier import Verifier
from hypereal.kit.money import Micro
from hypereal.limits.windows import Windows


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The services of one process. `catalogue` gives the one in use now; `metrics_token` guards `/metrics` when set."""

    engine: AsyncEngine
    verifier: Verifier
    catalogue: Callable[[], Catalogue]
    readiness: ReadinessProbe
    minimum_balance: Micro
    cross_format: bool
    metrics_directory: Path
    metrics_token: str | None
    windows: Windows
    subjects: Subjects
    history: History
