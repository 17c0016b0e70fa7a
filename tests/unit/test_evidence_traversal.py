"""How signalling and media got through a NAT, out of messages and packets. Here `pb` is the NAT, between alice and everybody else."""

from __future__ import annotations

import json
import struct

import dpkt
import pytest
from test_evidence_sip import DIRECTORY, end, plan, sip

from lab.errors import EvidenceError
from lab.evidence.directory import Endpoint
from lab.evidence.events import parse
from lab.evidence.message import SipMessage
from lab.evidence.pcapng import Frame
from lab.evidence.signalling import Signalling
from lab.evidence.traversal import Traversal, keep_alives

HOSTS = {element.name: element.ipv4.packed for element in plan().elements}
RTP = b"\x80\x00\x00\x01" + bytes(8) + b"\xff" * 20
NAT = "198.18.0.13"


def frame(number: int, src: str, sport: int, dst: str, dport: int, data: bytes) -> Frame:
    udp = dpkt.udp.UDP(sport=sport, dport=dport, data=data, ulen=8 + len(data))
    ip = dpkt.ip.IP(src=HOSTS[src], dst=HOSTS[dst], p=17, data=udp, len=28 + len(data))
    return Frame(number, 0, 0, 100.0 + number, bytes(dpkt.ethernet.Ethernet(data=ip)))


def view(*messages: SipMessage, packets: tuple[Frame, ...] = ()) -> Traversal:
    return Traversal(packets, Signalling(messages, DIRECTORY), DIRECTORY)


def request(frame_: int, src: Endpoint, dst: Endpoint, method: str = "REGISTER", transport: str = "udp", more: str = "") -> SipMessage:
    text = f"{method} sip:x SIP/2.0\r\nVia: SIP/2.0/UDP 10.64.0.30:5060;branch=z9hG4bK1\r\nCSeq: 1 {method}\r\n{more}\r\n"
    return SipMessage(frame_, 100.0, src, dst, transport, text.encode())


def response(frame_: int, src: Endpoint, dst: Endpoint, via: str) -> SipMessage:
    text = f"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.64.0.30:5060;branch=z9hG4bK1{via}\r\nCSeq: 1 REGISTER\r\n\r\n"
    return SipMessage(frame_, 100.0, src, dst, "udp", text.encode())


@pytest.mark.parametrize(
    ("port", "via", "what"),
    [
        (23456, f";received={NAT};rport=23456", ""),
        (5060, f";received={NAT};rport=23456", "went to"),
        (23456, "", "has the Via"),
        (23456, ";rport=23456", "has the Via"),
    ],
)
def test_a_response_goes_back_to_the_source(port: int, via: str, what: str) -> None:
    asked = request(1, end("pb", 23456), end("pa"))
    check = view(asked, response(2, end("pa"), end("pb", port), via)).answered_to_source("pa", through="pb")
    assert bool(check) == (not what)
    assert what in check.what


def test_nothing_translated_proves_nothing() -> None:
    check = view(request(1, end("pb", 23456), end("pa"))).answered_to_source("pa", through="pb")
    assert (bool(check), check.blame) == (False, "pb")


@pytest.mark.parametrize(("port", "good"), [(40000, True), (5060, False)])
def test_a_call_comes_down_the_connection_of_the_registration(port: int, good: bool) -> None:
    registered = request(1, end("alice", 40000), end("pa", 5061), transport="tls")
    called = request(2, end("pa", 5061), end("alice", port), "INVITE", "tls")
    assert bool(view(registered, called).came_down_own_connection("alice")) is good
    assert not view(registered).came_down_own_connection("alice")


def test_what_an_alg_changes_is_seen() -> None:
    sent = request(1, end("alice"), end("pa"))
    same = request(2, end("pb", 23456), end("pa"))
    other = request(2, end("pb", 23456), end("pa"), more="Contact: <sip:a@198.18.0.13>\r\n")
    assert view(sent, other).rewritten("pb", "alice", "udp")
    assert not view(sent, other).untouched("pb", "alice", "udp")
    assert view(sent, same).untouched("pb", "alice", "udp")
    assert not view(sent, same).rewritten("pb", "alice", "udp")
    with pytest.raises(EvidenceError, match="no request of alice left pb"):
        view(sent).rewritten("pb", "alice", "udp")


@pytest.mark.parametrize(("told", "good"), [("0", True), ("7", False)])
def test_lengths(told: str, good: bool) -> None:
    assert bool(view(request(1, end("pb"), end("pa"), more=f"Content-Length: {told}\r\n")).lengths_fit("pb")) is good


def test_a_body_that_grew_beyond_its_length_is_seen() -> None:
    message = request(1, end("pb"), end("pa"), more="Content-Length: 5\r\n")
    seen = {
        "kind": "sip", "frame": 1, "interface": 0, "time": 1.0, "src": end("pb").address, "sport": 5060, "dst": end("pa").address,
        "dport": 5060, "raw": [(message.raw + b"v=0\r\no=x").hex()],
    }  # fmt: skip
    (datagram,) = parse(json.dumps(seen | {"transport": "udp"}).encode(), DIRECTORY)
    (stream,) = parse(json.dumps(seen | {"transport": "tcp"}).encode(), DIRECTORY)
    assert isinstance(datagram, SipMessage)
    assert isinstance(stream, SipMessage)
    assert datagram.body == b"v=0\r\n"
    check = view(datagram).lengths_fit("pb")
    assert (bool(check), check.what) == (False, "REGISTER says Content-Length 5 and has 8 bytes")
    assert view(stream).lengths_fit("pb")


def test_nothing_that_left_a_nat_has_no_length() -> None:
    with pytest.raises(EvidenceError, match="no SIP message left pb"):
        view(request(1, end("alice"), end("pb"))).lengths_fit("pb")


def offer(element: str, *candidates: str) -> SipMessage:
    lines = ["v=0", "o=- 1 1 IN IP4 x", "s=-", "c=IN IP4 198.18.0.9", "t=0 0", "m=audio 4000 RTP/AVP 0", *(f"a={c}" for c in candidates)]
    return sip(1, element, "pa", "INVITE sip:b SIP/2.0", body="\r\n".join(lines) + "\r\n")


ALICE = offer("alice", "candidate:1 1 UDP 100 10.64.0.30 4000 typ host", f"candidate:2 1 udp 90 {NAT} 23456 typ srflx raddr 10.64.0.30")
BOB = offer("bob", "candidate:1 1 UDP 100 198.18.0.14 4000 typ host")


def test_candidates_are_those_that_media_come_from() -> None:
    reflexive = (frame(1, "pb", 23456, "bob", 4000, RTP), frame(2, "bob", 4000, "alice", 4000, RTP))
    seen = view(ALICE, BOB, packets=reflexive)
    assert (seen.candidate("alice", seen_by="bob"), seen.candidate("bob", seen_by="alice")) == ("srflx", "host")
    assert seen.between("alice", "bob", ("srflx", "host"))
    check = seen.between("alice", "bob", ("host", "host"))
    assert check.what == "media run between srflx of alice and host of bob, not host and host"
    assert not seen.between("alice", "bob", None)
    surprising = view(ALICE, BOB, packets=(frame(1, "pb", 30000, "bob", 4000, RTP), reflexive[1]))
    assert surprising.candidate("alice", seen_by="bob") == "prflx"
    before = seen.sources_of("alice", seen_by="bob")
    assert not seen.resumed("alice", "bob", before)
    assert surprising.resumed("alice", "bob", before)
    one_way = view(packets=(frame(1, "bob", 4000, "alice", 4000, RTP), frame(2, "pb", 30000, "bob", 4000, RTP)))
    assert one_way.resumed("alice", "bob", before).what.endswith("none come back")
    silent = view(ALICE, BOB).between("alice", "bob", ("srflx", "host"))
    assert (bool(silent), silent.what) == (False, "no media of alice reached bob")


def test_media_out_of_a_relay_are_known_by_their_envelope() -> None:
    channel = struct.pack("!HH", 0x4000, len(RTP)) + RTP
    indication = struct.pack("!HHI", 0x0017, 4 + len(RTP), 0x2112A442) + bytes(12) + struct.pack("!HH", 0x0013, len(RTP)) + RTP
    for data in (channel, indication):
        seen = view(ALICE, BOB, packets=(frame(1, "pb", 23456, "bob", 4000, RTP), frame(2, "pa", 3478, "alice", 4000, data)))
        assert seen.candidate("bob", seen_by="alice") == "own-relay"
        assert seen.between("alice", "bob", None)
    assert view(packets=(frame(1, "bob", 1, "alice", 2, b"\x40\x00"),)).candidate("bob", seen_by="alice") == ""


def test_media_that_come_by_a_relay_alone() -> None:
    by_relay = frame(1, "pb", 23456, "bob", 4000, RTP)
    assert view(packets=(by_relay,)).relayed("pb", to="bob")
    assert not view(packets=(frame(1, "alice", 4000, "bob", 4000, RTP), by_relay)).relayed("pb", to="bob")
    answer_of_dns = frame(2, "pa", 53, "bob", 40000, RTP)
    assert view(packets=(by_relay, answer_of_dns)).relayed("pb", to="bob")
    with pytest.raises(EvidenceError, match="no RTP packet that reached bob"):
        view().relayed("pb", to="bob")


def test_media_that_stay_at_home() -> None:
    assert view(packets=(frame(1, "alice", 4000, "bob", 4000, RTP),)).no_media_at("pb")
    assert not view(packets=(frame(1, "alice", 4000, "pb", 4000, RTP),)).no_media_at("pb")
    assert view(ALICE, packets=(frame(1, "pb", 23456, "bob", 4000, RTP),)).sees("bob", "srflx", of="alice")
    assert not view(ALICE).sees("bob", "srflx", of="alice")
    with pytest.raises(EvidenceError, match="no RTP packet"):
        view(ALICE).no_media_at("pb")
    with pytest.raises(KeyError, match="no element 'nat1'"):
        view(packets=(frame(1, "alice", 4000, "bob", 4000, RTP),)).no_media_at("nat1")


def test_keep_alives_are_counted() -> None:
    sent = [b"\x00\x01" + bytes(18), b"\r\n\r\n", b"\x00\x00", b"OPTIONS sip:x SIP/2.0"]
    frames = [frame(number, "alice", 5060, "pa", 5060, data) for number, data in enumerate(sent)]
    frames += [frame(9, "bob", 5060, "pa", 5060, b"\r\n\r\n"), frame(10, "alice", 4000, "pa", 4000, b"\r\n\r\n")]
    assert keep_alives(frames, DIRECTORY, "alice") == [each.time for each in frames[:3]]
