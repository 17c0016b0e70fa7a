"""Floods of packets, and packets that hold what no number is."""

from __future__ import annotations

import pytest
from render_plan import trapezoid

from lab.errors import AgentError
from lab.evidence import flood
from lab.evidence.directory import Directory, Endpoint
from lab.evidence.flood import FloodWatch
from lab.evidence.layout import build
from lab.evidence.message import SipMessage
from lab.evidence.pcapng import Frame
from lab.evidence.sdp import Sdp


def frame(source: bytes, kind: bytes, size: int = 0) -> Frame:
    start = bytes(12) + kind
    return Frame(1, 0, 0, 0.0, start + bytes((26 if len(source) == 4 else 22) - 14) + source + bytes(size))


def test_a_flood_names_its_sender_and_laps_count_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flood, "MOST_PACKETS", 3)
    made = trapezoid()
    alice, pa = made.element("alice"), made.element("pa")
    watch = FloodWatch(Directory(made))
    four, six, other = frame(alice.ipv4.packed, b"\x08\x00"), frame(alice.ipv6.packed, b"\x86\xdd"), frame(pa.ipv4.packed, b"\x08\x00")
    for _ in range(2):
        for one in (four, six, four, other, other, other):
            watch.count(one)
        watch.lap()
    for _ in range(100):
        watch.count(frame(b"\x01\x02\x03\x04", b"\x08\x00"))
        watch.count(frame(b"\x01\x02\x03\x04", b"\x08\x06"))
    for _ in range(3):
        watch.count(six)
    with pytest.raises(AgentError, match="flooded the network: 4 packets") as caught:
        watch.count(four)
    assert caught.value.element == "alice"


def test_bytes_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flood, "MOST_BYTES", 2000)
    made = trapezoid()
    watch = FloodWatch(Directory(made))
    watch.count(frame(made.element("alice").ipv4.packed, b"\x08\x00", 1500))
    with pytest.raises(AgentError, match="2 packets"):
        watch.count(frame(made.element("alice").ipv4.packed, b"\x08\x00", 1500))


def message(head: str) -> SipMessage:
    return SipMessage(1, 0.0, Endpoint("198.18.0.1", 1, "alice"), Endpoint("198.18.0.2", 2, "pa"), "udp", head.encode())


@pytest.mark.parametrize(
    ("lacking", "flaw"),
    [("", ""), ("Via", "no valid Via"), ("Call-ID", "no valid Call-ID"), ("CSeq", "no valid CSeq"), ("number", "no valid CSeq")],
)
def test_a_request_without_a_mandatory_header_has_a_flaw(lacking: str, flaw: str) -> None:
    headers = {"Via": "SIP/2.0/UDP x", "From": "<sip:a@x>", "To": "<sip:b@x>", "Call-ID": "1", "CSeq": "1 REGISTER"}
    headers["CSeq"] = "9" * 5000 + " REGISTER" if lacking == "number" else headers["CSeq"]
    lines = [f"{name}: {value}" for name, value in headers.items() if name != lacking]
    assert message("\r\n".join(["REGISTER sip:x SIP/2.0", *lines, "", ""])).flaw == flaw


def test_numbers_of_any_length_are_no_error() -> None:
    assert message("SIP/2.0 " + "2" * 5000 + " OK\r\n\r\n").status is None
    assert Sdp("v=0\r\nm=audio " + "1" * 5000 + " RTP/AVP 0\r\n").media == ()
    assert Sdp("v=0\r\nm=audio \u00b2 RTP/AVP 0\r\n").media == ()


def test_a_ladder_of_a_flood_can_still_be_read() -> None:
    made = build("flood", ("alice", "pa"), [message("OPTIONS sip:x SIP/2.0\r\n\r\n")] * 501)
    assert (made.title, len(made.rows)) == ("flood (the first 500 of 501 messages)", 500)
