"""The attacker: what comes is told and answered as it was said, statelessly (RFC 3261 §8.2.6, §8.2.7)."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

IMAGES = Path(__file__).parents[2] / "images"
sys.path[:0] = [str(IMAGES / "shared" / "agent"), str(IMAGES / "reference"), str(Path(__file__).parent)]

from agent_process import Driver  # noqa: E402
from siplab_reference.attacker import AttackerAgent  # noqa: E402

from lab.sip.responder import asked, response  # noqa: E402

INVITE = (
    b"INVITE sip:bob@biloxi.example SIP/2.0\r\nVia: SIP/2.0/UDP pa:5060;branch=z9hG4bK2\r\nVia: SIP/2.0/UDP alice:5060;branch=z9hG4bK1\r\n"
    b"From: <sip:alice@atlanta.example>;tag=a\r\nTo: <sip:bob@biloxi.example>\r\nCall-ID: c1\r\nCSeq: 1 INVITE\r\n"
    b"Contact: <sip:alice@alice>\r\nContent-Length: 0\r\n\r\n"
)
REGISTER = INVITE.replace(b"INVITE", b"REGISTER")


ADDRESSES = {4: {"host": "127.0.0.1"}, 6: {"host": None, "ipv6": "::1"}}


@pytest.fixture(params=[4, 6], ids=["ipv4", "ipv6"])
def attacker(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """One with an address of one family only."""
    monkeypatch.setattr("lab.sip.transports.PORTS", {"udp": 0, "tcp": 0, "tls": 0})
    with Driver(AttackerAgent, tmp_path, **ADDRESSES[request.param]) as driver:
        assert driver.ask("hello")["result"]["capabilities"] == ["ipv6", "tcp", "tls", "udp"]
        yield driver
    assert not driver.thread.is_alive()


def exchange(attacker: Any, data: bytes) -> bytes | None:
    """What comes back, None for silence: another request that is answered shows that the first was not."""
    (listener,) = attacker.agent._transports._datagrams.values()
    with socket.socket(listener.transport.get_extra_info("socket").family, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.connect(listener.transport.get_extra_info("sockname"))
        client.send(data)
        client.send(INVITE.replace(b"INVITE", b"MARK"))
        first = client.recv(4096)
        return None if b"MARK" in first else first


def test_it_tells_what_comes_and_answers_as_told(attacker: Any) -> None:
    assert attacker.ask("answer", code=200, methods=["MARK"])["result"] == {}
    assert exchange(attacker, INVITE) is None
    assert attacker.event("request.received", method="INVITE")["uri"] == "sip:bob@biloxi.example"
    attacker.ask("answer", code=503)
    assert (exchange(attacker, INVITE) or b"").startswith(b"SIP/2.0 503 Service Unavailable\r\n")
    attacker.ask("answer", code=None, methods=["INVITE"])
    assert exchange(attacker, INVITE) is None
    assert exchange(attacker, INVITE.replace(b"INVITE", b"ACK")) is None


def test_what_all_requests_get_goes_for_those_that_were_named_before(attacker: Any) -> None:
    attacker.ask("answer", code=200, methods=["INVITE"])
    attacker.ask("answer", code=None)
    attacker.ask("answer", code=200, methods=["MARK"])
    assert exchange(attacker, INVITE) is None


def test_reset_silences_it(attacker: Any) -> None:
    attacker.ask("answer", code=503)
    attacker.ask("reset")
    attacker.ask("answer", code=200, methods=["MARK"])
    assert exchange(attacker, INVITE) is None


@pytest.mark.parametrize("params", [{"code": 99}, {"code": "busy"}, {"code": True}, {"code": 200, "methods": "INVITE"}, {"methods": [5]}])
def test_a_wrong_answer_is_refused(attacker: Any, params: dict[str, Any]) -> None:
    assert attacker.ask("answer", **params)["error"]["code"] == "bad-params"


def test_a_response_has_what_its_request_had() -> None:
    lines = response(INVITE, 486).decode().split("\r\n")
    assert lines[0] == "SIP/2.0 486 Busy Here"
    assert [line for line in lines if line.startswith("Via")] == [line for line in INVITE.decode().split("\r\n") if line.startswith("Via")]
    assert next(line for line in lines if line.startswith("To")).startswith("To: <sip:bob@biloxi.example>;tag=")
    assert response(INVITE, 486) == response(INVITE, 486)
    assert b"Contact" not in response(INVITE, 486)


def test_a_tag_that_is_there_is_kept() -> None:
    assert b"To: <sip:bob@biloxi.example>;tag=b\r\n" in response(INVITE.replace(b"example>\r\nCall", b"example>;tag=b\r\nCall"), 200)


def test_a_binding_is_confirmed() -> None:
    assert b"Contact: <sip:alice@alice>\r\nExpires: 300\r\n" in response(REGISTER, 200)
    assert b"Contact" not in response(REGISTER, 403)


@pytest.mark.parametrize("data", [b"", b"\r\n\r\n", b"SIP/2.0 200 OK\r\n\r\n", b"\xff\xfe", b"GET / HTTP/1.1\r\n\r\n"])
def test_what_is_no_request_is_not_one(data: bytes) -> None:
    assert asked(data) is None


def test_the_manifest_knows_the_role() -> None:
    manifest = yaml.safe_load((IMAGES / "reference" / "vendor.yaml").read_text("utf-8"))
    assert set(manifest["in_role"]["attacker"]["supports"]) == AttackerAgent.capabilities
