"""Evidence on a lab with two networks: what was seen where, what one hides from the other, and how a load was met."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import dpkt
import pytest

from lab.errors import EvidenceError
from lab.evidence.directory import Directory, Endpoint
from lab.evidence.load import Load
from lab.evidence.media import Media
from lab.evidence.message import SipMessage
from lab.evidence.octets import Octets
from lab.evidence.pcapng import Frame
from lab.evidence.signalling import Signalling
from lab.plan.model import Element, Interface, Network, Plan

OUT, IN = 0, 1


def place(network: int, host: int) -> Interface:
    name = ("internet", "core")[network]
    return Interface(name, IPv4Address(f"198.18.{network}.{host}"), IPv6Address(f"2001:db8:0:{network + 1}::{host}"))


def element(name: str, *places: Interface) -> Element:
    return Element(name, "user-agent", "test", "1", places, f"{name}.example")


PLAN = Plan(
    "sbc",
    "",
    1,
    tuple(
        Network(name, IPv4Network(f"198.18.{n}.0/24"), IPv6Network(f"2001:db8:0:{n + 1}::/64"))
        for n, name in enumerate(("internet", "core"))
    ),
    (),
    (
        element("sbc", place(OUT, 60), place(IN, 60)),
        element("alice", place(OUT, 30)),
        element("bob", place(IN, 3)),
        element("carol", place(IN, 31)),
    ),
    (),
)
DIRECTORY = Directory(PLAN)


def sip(frame: int, src: str, dst: str, start: str, *headers: str, network: str = "internet", body: str = "") -> SipMessage:
    def end(address: str) -> Endpoint:
        return DIRECTORY.endpoint(address, 5060)

    kind = ("Content-Type: application/sdp",) if body else ()
    raw = "\r\n".join((start, *headers, "Call-ID: c", "CSeq: 1 INVITE", *kind, "", body)).encode()
    return SipMessage(frame, float(frame), end(src), end(dst), "udp", raw, network)


def view(*messages: SipMessage) -> Signalling:
    return Signalling(messages, DIRECTORY)


def packet(number: int, interface: int, src: str, dst: str, data: bytes, port: int = 4000) -> Frame:
    def packed(address: str) -> bytes:
        return IPv4Address(address).packed

    udp = dpkt.udp.UDP(sport=port, dport=6000, data=data, ulen=8 + len(data))
    ip = dpkt.ip.IP(src=packed(src), dst=packed(dst), p=17, data=udp, len=28 + len(data))
    return Frame(number, 0, interface, number / 50, bytes(dpkt.ethernet.Ethernet(data=ip)))


def speech(interface: int, src: str, dst: str, first: int = 1) -> list[Frame]:
    parts = [struct.pack("!BBHII", 0x80, 0, n, 160 * n, 7) + bytes(160) for n in range(40)]
    return [packet(first + n, interface, src, dst, part) for n, part in enumerate(parts)]


# -- where a message was seen ---------------------------------------------------------------------------------------------------------


def test_messages_of_one_network() -> None:
    both = view(
        sip(1, "198.18.0.30", "198.18.0.60", "INVITE sip:b SIP/2.0"),
        sip(2, "198.18.1.60", "198.18.1.3", "INVITE sip:b SIP/2.0", network="core"),
    )
    assert [m.frame for m in both.on("core")] == [2]
    assert (DIRECTORY.network(1), DIRECTORY.interface("core")) == ("core", 1)
    with pytest.raises(KeyError, match="no network 'dmz'"):
        DIRECTORY.interface("dmz")


def test_media_asked_for_at_the_border() -> None:
    body = "v=0\r\nc=IN IP4 {}\r\nm=audio 4000 RTP/AVP 0\r\n"
    right = sip(1, "198.18.0.60", "198.18.0.30", "SIP/2.0 200 OK", body=body.format("198.18.0.60"))
    wrong = sip(2, "198.18.0.60", "198.18.0.30", "SIP/2.0 200 OK", body=body.format("198.18.1.3"))
    assert Media([], view(right), DIRECTORY).announced_at("sbc", to="alice")
    found = Media([], view(right, wrong), DIRECTORY).announced_at("sbc", to="alice")
    assert (found.ok, found.blame, found.frame) == (False, "sbc", 2)
    with pytest.raises(EvidenceError, match="no session description"):
        Media([], view(right), DIRECTORY).announced_at("sbc", to="bob")


# -- what is hidden -------------------------------------------------------------------------------------------------------------------


def test_what_a_network_hides() -> None:
    hidden = DIRECTORY.only_on("core", seen_from="internet")
    assert set(hidden) == {"198.18.1.60", "2001:db8:0:2::60", "198.18.1.3", "2001:db8:0:2::3", "198.18.1.31", "2001:db8:0:2::31"} | {
        "bob.example",
        "carol.example",
    }


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ("Contact: <sip:bob@198.18.1.3:5060>", True),
        ('Warning: 399 BOB.example "here"', True),
        ("Contact: <sip:bob@[2001:db8:0:2::3]>", True),
        ("Call-ID: 7@198.18.1.31", True),
        ("Contact: <sip:bob@198.18.1.30:5060>", False),
        ("Subject: bob.example.test and notbob.example", False),
        ("Contact: <sip:bob@198.18.0.60>", False),
        ("From: <sip:bob@example>", False),
    ],
)
def test_a_message_that_names_who_is_hidden(header: str, named: bool) -> None:
    seen = view(sip(5, "198.18.0.60", "198.18.0.30", "SIP/2.0 200 OK", header))
    found = Octets("internet", seen, [], DIRECTORY).hide("core")
    assert found.ok is not named
    if named:
        assert found.blame == "sbc"
        assert header in found.what


def test_a_packet_that_names_who_is_hidden() -> None:
    seen = view(sip(5, "198.18.0.60", "198.18.0.30", "SIP/2.0 200 OK"))
    frames = [packet(7, OUT, "198.18.0.60", "198.18.0.30", b"\x81\xca..user@bob.example\x00")]
    found = Octets("internet", seen, frames, DIRECTORY).hide("core")
    assert (found.ok, found.blame, found.frame) == (False, "sbc", 7)


def test_a_packet_of_who_is_hidden() -> None:
    seen = view(sip(5, "198.18.0.60", "198.18.0.30", "SIP/2.0 200 OK"))
    for ends in (("198.18.1.31", "198.18.0.30"), ("198.18.0.30", "198.18.1.31")):
        found = Octets("internet", seen, [packet(7, OUT, *ends, b"RTP")], DIRECTORY).hide("core")
        assert (found.ok, found.blame, found.frame) == (False, "carol", 7)


def test_nothing_seen_or_nothing_to_hide_is_no_proof() -> None:
    with pytest.raises(EvidenceError, match="no SIP message"):
        Octets("internet", view(), [], DIRECTORY).hide("core")
    with pytest.raises(EvidenceError, match="nothing that"):
        Octets("core", view(), [], DIRECTORY).hide("dmz")


# -- media ----------------------------------------------------------------------------------------------------------------------------


def test_media_of_each_network() -> None:
    frames = [
        *speech(OUT, "198.18.0.30", "198.18.0.60"),
        *speech(OUT, "198.18.0.60", "198.18.0.30", first=100),
        *speech(IN, "198.18.1.60", "198.18.1.3", first=200),
    ]
    media = Media(frames, view(), DIRECTORY)
    assert media.on("internet").only_between("alice", "sbc")
    found = media.on("core").only_between("bob", "sbc")
    assert (found.ok, found.what) == (False, "bob sent no RTP")
    assert not media.only_between("alice", "sbc")
    with pytest.raises(EvidenceError, match="on core"):
        Media(frames[:40], view(), DIRECTORY).on("core").all_rtp()


# -- load -----------------------------------------------------------------------------------------------------------------------------


def offered(count: int, *answers: str) -> Load:
    """`count` requests, the first ones answered so."""
    sent = [sip(n, "198.18.0.30", "198.18.0.60", "INVITE sip:b SIP/2.0", f"Via: SIP/2.0/UDP a;branch=z9hG4bK{n}") for n in range(count)]
    came = [
        sip(count + n, "198.18.0.60", "198.18.0.30", *answer.split("|"), f"Via: SIP/2.0/UDP a;branch=z9hG4bK{n}")
        for n, answer in enumerate(answers)
    ]
    return Load("alice", "INVITE", view(*sent, *came))


BUSY = "SIP/2.0 503 Service Unavailable|Retry-After: 5"
AUTH = "SIP/2.0 407 Proxy Authentication Required"


@pytest.mark.parametrize(
    ("load", "what"),
    [
        (offered(4, AUTH, BUSY, BUSY, BUSY), ""),
        (offered(4, AUTH, AUTH, AUTH, BUSY), "1 of 4 INVITE of alice were answered 503, should be 50%"),
        (offered(4, BUSY, BUSY, BUSY, "SIP/2.0 503 Service Unavailable"), "503 from sbc without Retry-After"),
        (offered(4, BUSY, BUSY, BUSY), "1 of 4 INVITE of alice got no answer"),
    ],
)
def test_a_load_that_is_shed(load: Load, what: str) -> None:
    found = load.shed(0.5)
    assert found.ok is not bool(what)
    assert found.what == what or not what
    assert found.blame == ("sbc" if what else "")


def test_no_load_is_no_proof() -> None:
    with pytest.raises(EvidenceError, match="sent no INVITE"):
        offered(0).shed(0.5)
