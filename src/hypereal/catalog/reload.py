"""The catalogue that is in use now, and its replacement when the operator's file has changed."""

from __future__ import annotations

from pathlib import Path

from hypereal.catalog.load import CatalogueError, Surroundings, assemble, builtin_rows, read_rows
from hypereal.catalog.resolve import Catalogue


class CatalogueSource:
    """Holds the current `Catalogue`. A file that is at fault is refused, and what was in use stays.

    Making one reads the files and raises `CatalogueError` when they do not make a catalogue. When to ask for
    `has_changed` and to reload is the owner's business.
    """

    def __init__(self, operator_file: Path | None, around: Surroundings) -> None:
        self.operator_file = operator_file
        self._around = around
        self._builtin = builtin_rows()
        self._current = self._assemble(around)

    @property
    def current(self) -> Catalogue:
        """The catalogue in use; take it once for a request, so that one request sees one catalogue."""
        return self._current

    @property
    def has_changed(self) -> bool:
        """Whether the operator's file is another than when it was last read, be it for use or to be refused."""
        return _signature(self.operator_file) != self._read

    @property
    def around(self) -> Surroundings:
        """The surroundings that the catalogue in use was made for."""
        return self._around

    def reload(self, around: Surroundings | None = None) -> list[str]:
        """Read the operator's file again, in new surroundings if given; the faults that kept it from being used."""
        try:
            self._current = self._assemble(around or self._around)
        except CatalogueError as problem:
            return problem.faults
        self._around = around or self._around
        return []

    def _assemble(self, around: Surroundings) -> Catalogue:
        files = [self.operator_file] if self.operator_file else []
        self._read = _signature(self.operator_file)  # before it is read: a change meanwhile must show
        return assemble(self._builtin, read_rows(files), around)


def _signature(path: Path | None) -> tuple[int, int, int] | None:
    """What changes when a file does; None while there is none."""
    if path is None:
        return None
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
