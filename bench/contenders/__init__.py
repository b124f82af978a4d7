"""Who is compared: one file for each kind of contender, and the list of all."""

from __future__ import annotations

from collections.abc import Callable

from bench.contenders.contender import Contender
from bench.contenders.direct import direct
from bench.contenders.gateway import hot_lane, plain_asgi
from bench.contenders.litellm import litellm
from bench.contenders.nginx import nginx
from bench.contenders.portkey import portkey

CONTENDERS: dict[str, Callable[[], Contender]] = {
    "direct": direct,
    "nginx": nginx,
    "gateway": hot_lane,
    "gateway-asgi": plain_asgi,
    "portkey": portkey,
    "litellm": litellm,
}
"""By name, in the order of the tables. Calling one writes its configuration."""

__all__ = ["CONTENDERS", "Contender"]
