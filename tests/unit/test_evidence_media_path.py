"""STUN, TURN, ICE and ZRTP out of packets, and what follows from them."""

from __future__ import annotations

import struct

import dpkt
import pytest
from test_evidence_sip import DIRECTORY, plan

from lab.evidence.media_path import MediaPath
from lab.evidence.pcapng import Frame

HOSTS = {element.name: element.ipv4.packed for element in plan().elements}
BINDING, ALLOCATE = 0x0001, 0x0003
SUCCESS, ERROR = 0x0100, 0x0110
USERNAME, PRIORITY, USE_CANDIDATE, RELAYED = 0x0006, 0x0024, 0x0025, 0x0016
CHECK = {USERNAME: b"a:b", PRIORITY: b"\x00\x00\x00\x01"}


def stun(kind: int, transaction: int = 1, attributes: dict[int, bytes] | None = None) -> bytes:
    body = b"".join(struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4) for kind, value in (attributes or {}).items())
    return struct.pack("!HHI", kind, len(body), 0x2112A442) + transaction.to_bytes(12, "big") + body


def zrtp(kind: str) -> bytes:
    return b"\x10\x00\x00\x01ZRTP" + bytes(4) + b"PZ\x00\x10" + kind.ljust(8).encode() + bytes(8)


def path(*packets: tuple[str, str, bytes]) -> MediaPath:
    found = []
    for number, (source, target, data) in enumerate(packets, 1):
        udp = dpkt.udp.UDP(sport=4000, dport=3478, data=data, ulen=8 + len(data))
        ip = dpkt.ip.IP(src=HOSTS[source], dst=HOSTS[target], p=17, data=udp, len=28 + len(data))
        found.append(Frame(number, 0, 0, 100.0 + number, bytes(dpkt.ethernet.Ethernet(data=ip))))
    return MediaPath(found, DIRECTORY)


def test_a_request_counts_with_its_answer_only() -> None:
    asked = ("alice", "pa", stun(BINDING, 7))
    assert path(asked, ("pa", "alice", stun(BINDING | SUCCESS, 7))).answered("Binding", client="alice", server="pa")
    for answer in (stun(BINDING | SUCCESS, 8), stun(BINDING | ERROR, 7)):
        check = path(asked, ("pa", "alice", answer)).answered("Binding", client="alice", server="pa")
        assert not check
        assert check.what == "pa granted no Binding to alice"
    silent = path(("bob", "pa", stun(BINDING))).answered("Binding", client="alice", server="pa")
    assert (bool(silent), silent.blame) == (False, "alice")


def test_an_allocation_tells_its_address() -> None:
    value = b"\x00\x01" + struct.pack("!HI", 49160 ^ 0x2112, int.from_bytes(bytes([198, 18, 0, 30]), "big") ^ 0x2112A442)
    found = path(("alice", "pa", stun(ALLOCATE)), ("pa", "alice", stun(ALLOCATE | SUCCESS, attributes={RELAYED: value})))
    assert found.allocations("alice") == ("198.18.0.30:49160",)
    assert found.allocations("bob") == ()


def both(*, nominates: bool = True, answered: bool = True, one_sided: bool = False) -> MediaPath:
    chosen = {**CHECK, USE_CANDIDATE: b""} if nominates else CHECK
    packets = [("alice", "bob", stun(BINDING, 1, chosen)), ("bob", "alice", stun(BINDING | SUCCESS, 1))]
    if not one_sided:
        packets += [
            ("bob", "alice", stun(BINDING, 2, CHECK)),
            ("alice", "bob", stun(BINDING | SUCCESS if answered else BINDING | ERROR, 2)),
        ]
    return path(*packets)


@pytest.mark.parametrize(
    ("found", "what", "blame"),
    [
        (both(), "nominated one", ""),
        (both(nominates=False), "nominated a pair", ""),
        (both(answered=False), "alice answered no connectivity check of bob", "alice"),
        (both(one_sided=True), "bob sent no connectivity check to alice", "bob"),
        (path(("alice", "bob", stun(BINDING)), ("bob", "alice", stun(BINDING | SUCCESS))), "alice sent no connectivity check", "alice"),
    ],
)
def test_connectivity_checks_go_both_ways_and_nominate(found: MediaPath, what: str, blame: str) -> None:
    check = found.checked("alice", "bob")
    assert what in check.what
    assert (bool(check), check.blame) == (what == "nominated one", blame)


def test_zrtp_counts_when_both_confirmed() -> None:
    hello = [("alice", "bob", zrtp("Hello")), ("bob", "alice", zrtp("Hello"))]
    assert path(*hello, ("alice", "bob", zrtp("Confirm1")), ("bob", "alice", zrtp("Confirm2"))).agreed_by_zrtp("alice", "bob")
    assert (
        "bob confirmed no key (its ZRTP messages: Hello)"
        in path(*hello, ("alice", "bob", zrtp("Confirm1"))).agreed_by_zrtp("alice", "bob").what
    )
    assert path().agreed_by_zrtp("alice", "bob").blame == "alice"


def test_other_packets_are_nothing() -> None:
    found = path(("alice", "bob", b""), ("alice", "bob", b"\x80" + bytes(40)), ("alice", "bob", b"\x00\x01" + bytes(30)))
    assert (found.stun, found.zrtp) == ((), ())
    assert path(("alice", "bob", stun(BINDING)[:-2] + b"\xff\xff"), ("alice", "bob", stun(BINDING) + b"\x00\x06\xff\xff")).stun
