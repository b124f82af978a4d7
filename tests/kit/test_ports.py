"""Free ports are free, and not such as an outgoing connection may take."""

from __future__ import annotations

import socket

import pytest

from hypereal.kit import ports


def test_a_free_port_can_be_listened_on() -> None:
    port = ports.free_port()
    assert port in ports.UNASSIGNED
    with socket.socket() as listener:
        listener.bind((ports.LOOPBACK, port))
        listener.listen()


def test_a_port_in_use_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listener:
        port = ports.free_port()
        listener.bind((ports.LOOPBACK, port))
        listener.listen()
        monkeypatch.setattr(ports, "UNASSIGNED", range(port, port + 1))
        monkeypatch.setattr(ports, "ATTEMPTS", 1)
        with pytest.raises(OSError, match="no free port"):
            ports.free_port()
