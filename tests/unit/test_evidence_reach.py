"""How many requests of one element went where, and how fast."""

from __future__ import annotations

import math
from dataclasses import replace

from test_evidence_sip import DIRECTORY, sip

from lab.evidence.message import SipMessage
from lab.evidence.signalling import Signalling


def exchange(number: int, hop: str = "pb", *, took: int = 2, code: int = 200, domain: str = "biloxi.example") -> list[SipMessage]:
    """alice – pa – hop, answered after `took` tenths of a second."""
    start, begin = f"MESSAGE sip:x@{domain} SIP/2.0", number * 100
    asked = [sip(begin, "alice", "pa", start), sip(begin + 1, "pa", hop, start)]
    answers = [sip(begin + took, *way, f"SIP/2.0 {code} So", cseq="1 MESSAGE") for way in ((hop, "pa"), ("pa", "alice"))]
    return [replace(message, raw=message.raw.replace(b"c1", f"c{number}".encode())) for message in (*asked, *answers)]


def signalling(*exchanges: list[SipMessage]) -> Signalling:
    return Signalling([message for each in exchanges for message in each], DIRECTORY)


def test_share_that_was_answered() -> None:
    reach = signalling(*(exchange(n) for n in range(19)), exchange(19, code=404)).reach("MESSAGE", "pa")
    assert reach.seconds[:2] == (0.2, 0.2) or math.isclose(reach.seconds[0], 0.2)
    assert reach.seconds[19] == math.inf
    assert reach.answered(0.95, of=20, within=1)
    failed = reach.answered(0.96, of=20, within=1)
    assert (failed.ok, failed.what, failed.blame) == (False, "19 of 20 MESSAGE in all were answered within 1 s (refused: 404)", "pa")
    assert not reach.answered(0.95, of=20, within=0.1)
    assert not reach.answered(0.95, of=40, within=1)


def test_one_domain_beside_another() -> None:
    reach = signalling(exchange(0), exchange(1, domain="chicago.example")).reach("MESSAGE", "pa", "chicago.example")
    assert len(reach.seconds) == 1


def test_percentile() -> None:
    before = signalling(*(exchange(n) for n in range(20))).reach("MESSAGE", "pa").p95
    one = signalling(*(exchange(n, took=90 if n == 3 else 2) for n in range(20))).reach("MESSAGE", "pa")
    two = signalling(*(exchange(n, took=90 if n in (3, 4) else 2) for n in range(20))).reach("MESSAGE", "pa")
    assert one.no_slower_than(before, by=0.5)
    assert not two.no_slower_than(before, by=0.5)
    assert two.no_slower_than(before, by=0.5).what == "p95 of MESSAGE in all: 9.000 s, 0.200 s before"
    assert two.since(5).no_slower_than(before, by=0.5)
    nobody = signalling(exchange(0)).reach("INVITE", "pa")
    assert nobody.p95 == math.inf
    assert not nobody.no_slower_than(nobody.p95, by=0.5)


def test_shares_of_next_hops() -> None:
    reach = signalling(*(exchange(n, "bob" if n < 3 else "pb") for n in range(10))).reach("MESSAGE", "pa")
    assert reach.split({"pb": range(5, 10), "bob": range(1, 5)}, of=10)
    assert reach.split({"pb": range(8, 10), "bob": range(1, 5)}, of=10).what == "7 to pb, 3 to bob of 10 MESSAGE"
    assert not reach.split({"pb": range(5, 10), "bob": range(1, 5)}, of=11)


def test_failover() -> None:
    reach = signalling(exchange(0, "bob"), exchange(1, "pb")).reach("MESSAGE", "pa")
    assert reach.failed_over("bob", "pb", within=11)
    assert not reach.failed_over("bob", "pb", within=9)
    assert reach.failed_over("pb", "bob", within=99).what == "pa sent no MESSAGE to bob"
    assert signalling(exchange(0, "bob")).reach("MESSAGE", "pa").failed_over("pb", "bob", within=9).what == "pa sent no MESSAGE to pb"


def test_family() -> None:
    sent = exchange(0)
    assert signalling(sent).reach("MESSAGE", "pa").over(4, "pb")
    assert not signalling(sent).reach("MESSAGE", "pa").over(4, "bob")
    sent[1] = replace(sent[1], dst=replace(sent[1].dst, address="2001:db8::d"))
    found = signalling(sent).reach("MESSAGE", "pa").over(4, "pb")
    assert (found.ok, found.blame) == (False, "pa")
    assert "not over IPv4" in found.what
