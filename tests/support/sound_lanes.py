"""Lanes of sound upstreams in every format, and the models that the tests of formats ask for."""

from __future__ import annotations

import secrets
from typing import Any

from tests.support.catalogue_file import BACKUP, model_row, upstream_row
from tests.support.faulty_upstream import FaultyUpstream
from tests.support.format_lanes import Rows, format_row
from tests.support.formats import FORMATS

CACHED_TOKENS = 1024
THOUGHTLESS_CASES = ("same", "translated", "chained", "buffered", "socket")
"""A lane for each: only its first request makes it think."""


def sound_rows(upstream: FaultyUpstream) -> Rows:
    """`speaks-<format>` answers in one format and counts in it, `tells-<format>` counts nothing; `refuses-<format>` and
    `breaks-<format>` fail to count, by the client's fault and by the upstream's; `thoughtful-<format>` answers late,
    and `thoughtless-<format>-…` does not after all."""
    tag = secrets.token_hex(4)
    upstreams: list[dict[str, Any]] = []
    models: list[dict[str, Any]] = []
    for name in FORMATS:
        counts = [name] if FORMATS[name].count else []
        for lane, more in ((f"speaks-{name}", {"counts": counts}), (f"tells-{name}", {})):
            upstreams.append(format_row(lane, upstream.url(f"ok~{lane}"), name, **more))
            models.append(model_row(lane, [f"{lane}:served-{lane}"], kinds=["chat"]))
        for lane, behaviour in ((f"refuses-{name}", "rejected"), (f"breaks-{name}", "unavailable")):
            upstreams.append(format_row(lane, upstream.url(f"{behaviour}~{lane}"), name, counts=counts))
            models.append(model_row(lane, [f"{lane}:served-{lane}"], kinds=["chat"]))
        thoughtful, thoughtless = f"thoughtful-{name}", f"thoughtless-{name}"
        upstreams.append(format_row(thoughtful, upstream.url(f"thoughtful~{name}"), name))
        models.append(model_row(thoughtful, [f"{thoughtful}:served"], kinds=["chat"]))
        for case in THOUGHTLESS_CASES:
            lane = f"{thoughtless}-{case}"
            upstreams.append(format_row(lane, upstream.url(f"thoughtless~{lane}-{tag}"), name))
            targets = [f"{lane}:served", *([f"{BACKUP}:served-backup"] if case == "chained" else [])]
            models.append(model_row(lane, targets, kinds=["chat"]))
    upstreams += [
        upstream_row("busy-once", upstream.url(f"busy_once~{tag}"), kinds=["chat"]),
        upstream_row("claude-there", upstream.url("ok~claude-there"), adapter="anthropic", dialects=["anthropic"]),
        format_row("throttled-chat", upstream.url("throttled~first"), "openai_chat"),
    ]
    models += [
        model_row("sticky", ["busy-once:served-one", "ok:served-two"], kinds=["chat"]),
        model_row("claude-here", ["claude-there:claude"], kinds=["chat"], min_cache_tokens=CACHED_TOKENS),
        model_row("vendor/claude:v1", ["claude-there:claude"], kinds=["chat"], dialects=["anthropic"]),
        model_row("over-formats", ["throttled-chat:first", "claude-there:claude"], kinds=["chat"]),
    ]
    return upstreams, models
