"""What the benchmark reads: its load tools, /proc, profiles."""

from __future__ import annotations

import json

import pytest
from bench.hot import parse_collapsed, table
from bench.load import parse_streams, parse_wrk
from bench.proc import TICKS_PER_S, parse_machine, parse_stat, parse_status
from bench.requests import BIG_BYTES, SMALL_BYTES, Shape, body, message

WRK = """Running 2s test @ http://127.0.0.1:19101/v1/chat/completions
  1 threads and 64 connections
RESULT {"requests": 1000, "duration_us": 2000000, "bytes": 5, "p50_us": 640, "p90_us": 900, "p99_us": 2500, \
"max_us": 9000, "errors": {"connect": 1, "read": 2, "write": 3, "status": 10, "timeout": 4}}
"""


def test_a_burst_counts_good_answers_only() -> None:
    seen = parse_wrk(WRK)
    assert (seen.requests, seen.errors, seen.rate) == (1000, 20, 490.0)
    assert (seen.p50_ms, seen.p99_ms) == (0.64, 2.5)


def test_wrk_that_reports_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="unable to connect"):
        parse_wrk("unable to connect to 127.0.0.1:1 Connection refused")


def test_streams_are_read_as_printed() -> None:
    names = ["streams", "failed", "events", "seconds", "gap_p50", "gap_p99", "gap_max"]
    printed = dict(zip([*names, "first_p50", "first_p99", "first_max"], range(10), strict=True))
    seen = parse_streams(json.dumps(printed))
    assert (seen.streams, seen.failed, seen.gap_p99, seen.first_max) == (0, 1, 5, 9)


def test_cpu_time_is_read_past_a_name_with_spaces_and_parentheses() -> None:
    fields = ["S", "41", *["0", "0", "0", "0", "0", "0", "0", "0", "0"], str(3 * TICKS_PER_S), str(TICKS_PER_S), "0 0"]
    assert parse_stat(f"42 (odd) name (x)) {' '.join(fields)}") == (41, 4.0)


def test_memory_is_read_in_mebibytes_and_missing_lines_are_zero() -> None:
    used = parse_status("Name:\tpython\nVmRSS:\t  2048 kB\nRssAnon:\t 1024 kB\n")
    assert (used.resident, used.private) == (2.0, 1.0)
    assert parse_status("").resident == 0.0


def test_idle_and_waiting_time_of_the_machine_is_not_busy() -> None:
    assert parse_machine(f"cpu  {TICKS_PER_S} 0 {TICKS_PER_S} 999 999 0 0 0 0 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n") == 2.0


@pytest.mark.parametrize("shape", list(Shape))
def test_bodies_have_the_promised_size(shape: Shape) -> None:
    payload = body(shape)
    assert len(payload) == (BIG_BYTES if shape is Shape.BIG else SMALL_BYTES)
    assert json.loads(payload).get("stream", False) is (shape not in {Shape.JSON, Shape.BIG, Shape.GEMINI})


def test_a_raw_request_announces_its_body() -> None:
    head, _, payload = message(Shape.PACED, 80, {"Authorization": "Bearer x"}).partition(b"\r\n\r\n")
    assert b"Authorization: Bearer x" in head
    assert f"Content-Length: {len(payload)}".encode() in head


def test_a_profile_counts_recursion_once() -> None:
    profile = parse_collapsed("main;walk;walk;leaf 3\nmain;walk 1\n\n")
    assert profile.samples == 4
    assert profile.own == {"leaf": 3, "walk": 1}
    assert profile.total == {"main": 4, "walk": 4, "leaf": 3}
    assert "  75.0 %  leaf" in table(profile, 5)


def test_parked_threads_are_not_part_of_a_profile() -> None:
    profile = parse_collapsed("run;get;Condition.wait (threading.py:295) 90\nmain;work 10\n")
    assert (profile.samples, dict(profile.own)) == (10, {"work": 10})
