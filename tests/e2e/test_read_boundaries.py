"""Where reads are cut is nobody's promise: a stream cut anywhere, or read late, is the same stream and bill."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.support.behaviours import FLOOD_EVENTS
from tests.support.bills import all_settled, bill
from tests.support.catalogue_file import COST_OF_OK
from tests.support.http_client import Answer, RawConnection, raw_chat
from tests.support.openai_format import TEXT, events
from tests.support.server import BOOTSTRAP_KEY, Server

CLIENTS = 8
ENDING_BYTES = 420
"""The finish, usage and terminal events with their framing: here every position counts."""
STRIDE = 11


def framed_length() -> int:
    """The size of the stream that is split, chunk framing included."""
    parts = events("/v1/chat/completions", "served-split")
    return sum(len(b"%x\r\n\r\n" % len(part)) + len(part) for part in parts) + len(b"0\r\n\r\n")


def positions() -> list[int]:
    length = framed_length()
    return [*range(1, length - ENDING_BYTES, STRIDE), *range(length - ENDING_BYTES, length)]


def test_a_stream_cut_at_any_byte_is_passed_on_whole_and_billed_right(server: Server) -> None:
    def ask(share: list[int]) -> list[Answer]:
        with server.client.with_key(BOOTSTRAP_KEY) as client:
            return [client.chat("split", stream=True, user=str(position)) for position in share]

    shares = [positions()[start::CLIENTS] for start in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = [answer for part in pool.map(ask, shares) for answer in part]
    assert len(answers) == len(positions()) > ENDING_BYTES
    assert {(answer.status, answer.text, answer.is_done, answer.truncated) for answer in answers} == {
        (200, TEXT, True, False)
    }
    rows = all_settled(server, [answer.request_id for answer in answers])
    assert {(row["credits"], row["basis"]) for row in rows} == {(COST_OF_OK, "provider")}


def test_a_client_that_reads_late_gets_every_byte(server: Server) -> None:
    with RawConnection(server.port, receive_buffer_bytes=4096) as connection:
        connection.send(raw_chat("flood", BOOTSTRAP_KEY, stream=True))
        status, headers = connection.read_head()
        quick = server.client.chat("ok")
        answer = Answer(status=status, headers=headers, body=b"".join(connection.chunks()))
    assert quick.status == 200
    assert answer.text == "y" * 4000 * FLOOD_EVENTS
    assert answer.is_done
    assert bill(server, answer)["credits"] == COST_OF_OK
