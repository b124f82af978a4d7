"""Finding one's place in a list that is paged through by ids."""

from __future__ import annotations

from collections.abc import Iterable

from hypereal.errors import InvalidRequest


def position(ids: Iterable[str], wanted: str, param: str) -> int:
    """Where an id is in a list. One that has gone is refused: it would otherwise begin the list anew, for ever."""
    for place, known in enumerate(ids):
        if known == wanted:
            return place
    raise InvalidRequest(f"{param} is not an id in this list", param=param)
