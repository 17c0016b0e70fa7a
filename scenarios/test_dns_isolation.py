"""What goes wrong in one domain's DNS is no other domain's trouble (RFC 3263, RFC 1035 §7.2)."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

pytestmark = pytest.mark.lab(
    topology="rogue-dns",
    about=["pa"],
    needs={"alice": ["udp", "message"], "carol": ["udp", "message"], "pa": ["udp", "message", "stateful-proxy"]},
)

BAD = "*biloxi.example"
PROBES = 20
SLOWER_BY = 1.0
"""Seconds by which the 95th percentile may grow: a fifth of what the slow name server takes, and more than a busy machine adds."""
TIMER_F = 32.0
RECOVERED = 10.0
"""Seconds after which an answer that was no answer must be forgotten: the zones' negative TTL (5 s, RFC 2308 §5) and as much again."""


def probe(alice, carol, patience=TIMER_F):
    """PROBES messages to the honest domain, one after the other, until so many took longer than `patience` that the 95th percentile did."""
    slow = 0
    for number in range(PROBES):
        begun = time.monotonic()
        alice.message(carol.aor, f"probe {number}", within=TIMER_F + 3)
        slow += time.monotonic() - begun > patience
        if slow > PROBES // 20:
            return


@pytest.mark.control("pa", "serial-lookups", expect="p95 of MESSAGE")
def test_dns_slow_isolation(lab, dns, alice, carol):
    """While two messages wait for a name server that takes 5 s, those to another domain take no longer than before."""
    alice.register()
    carol.register()
    probe(alice, carol)
    alone = lab.wire.signalling.reach("MESSAGE", "pa", "chicago.example")
    assert alone.answered(1, of=PROBES, within=TIMER_F)
    slow, enough = dns.fault("delay", BAD, seconds=5), threading.Event()

    def wait():
        while not enough.is_set():
            alice.message("sip:nobody@biloxi.example", "hello?", within=TIMER_F + 3)

    with ThreadPoolExecutor(2) as pool:
        try:
            pool.submit(wait)
            pool.submit(wait)
            struck = dns.struck(slow, within=10, by="pa")
            probe(alice, carol, patience=alone.p95 + 2 * SLOWER_BY)
        finally:
            enough.set()

    assert struck
    both = lab.wire.signalling.reach("MESSAGE", "pa", "chicago.example")
    assert both.since(PROBES).no_slower_than(alone.p95, by=SLOWER_BY)
    assert both.answered(1, of=2 * PROBES, within=TIMER_F)


def deliver(lab, alice, bob, text):
    """The outcome of a message to bob, none of which went to the backup: that is for when the first server cannot be reached (RFC 2782)."""
    outcome = alice.message(bob.aor, text, within=TIMER_F)
    assert lab.wire.signalling.where(lambda m: text.encode() in m.body).kept_from("pc", "MESSAGE")
    return outcome


FAILING = {
    "nxdomain": {}, "servfail": {}, "no-data": {}, "drop": {}, "wrong-id": {}, "wrong-question": {}, "wrong-answer": {}, "cname-loop": {},
    "lame": {}, "truncate": {"tcp": False},
}  # fmt: skip
"""Faults that leave a client without an answer that it may believe."""


@pytest.mark.lab(needs={"bob": ["udp", "message"]})
@pytest.mark.control("pa", "relay-once", expect="503")
@pytest.mark.parametrize("kind", FAILING)
def test_dns_failure_poisons_peers(lab, dns, alice, bob, carol, kind):
    """A message to a domain without usable DNS fails; one to another domain is delivered at once, and soon after the repair all are."""
    alice.register()
    bob.register()
    carol.register()
    broken = dns.fault(kind, BAD, **FAILING[kind])
    lost = alice.message(bob.aor, "lost", within=TIMER_F + 10)
    other = alice.message(carol.aor, "kept", within=5)
    dns.clear(broken)
    repaired = time.monotonic()
    again = deliver(lab, alice, bob, "again")
    while not again and time.monotonic() < repaired + RECOVERED:
        assert lab.wire.signalling.where(lambda m: b"again" in m.body).kept_from("bob", "MESSAGE")
        again = deliver(lab, alice, bob, "again")

    assert dns.asked("pa", BAD, fault=broken)
    messages = lab.wire.signalling
    assert messages.where(lambda m: b"lost" in m.body).kept_from("pb", "MESSAGE")
    assert lost.failed
    assert other
    assert again
    assert messages.reach("MESSAGE", "pa").over(4, "pc")
    assert messages.where(lambda m: b"again" in m.body).reach("MESSAGE", "pb").over(4, "bob")


@pytest.mark.lab(needs={"bob": ["udp", "message"]})
@pytest.mark.control("pa", "relay-once", expect="503")
@pytest.mark.parametrize(
    ("kind", "more"),
    [
        pytest.param("truncate", {}, id="truncated"),
        pytest.param("ttl-zero", {}, id="ttl-zero"),
        pytest.param("oversized", {"size": 4000}, id="oversized"),
        pytest.param("servfail", {"every": 2}, id="flapping"),
    ],
)
def test_dns_awkward_answers(lab, dns, alice, bob, kind, more):
    """Answers that have to be asked for twice, or cannot be kept, are answers: messages arrive (RFC 7766 §5, RFC 1035 §3.2.1)."""
    alice.register()
    bob.register()
    fault = dns.fault(kind, BAD, **more)
    for text in ("first", "second"):
        assert deliver(lab, alice, bob, text)

    assert dns.asked("pa", BAD, fault=fault)
    assert lab.wire.signalling.reach("MESSAGE", "pb").answered(1, of=2, within=TIMER_F)


FLOOD = 16
"""Messages in flight at once: some times the workers of a small proxy, nothing for one that does not wait."""


@pytest.mark.control("pa", "relay-once", expect="of 20 MESSAGE .*refused: 503")
@pytest.mark.parametrize("kind", ["nxdomain", "drop"], ids=["unknown", "unresponsive"])
def test_dns_random_flood(lab, dns, alice, carol, kind):
    """Of the messages to an honest domain 95 % arrive within Timer F while a subscriber floods the proxy with domains that lead nowhere."""
    alice.register()
    carol.register()
    flood = dns.fault(kind, "*.flood.example")
    with ThreadPoolExecutor(FLOOD) as pool, ThreadPoolExecutor(PROBES // 4) as honest:
        for number in range(FLOOD):
            pool.submit(alice.message, f"sip:x@r{number:04d}.flood.example", "?", within=TIMER_F + 10)
        assert dns.struck(flood, within=10, by="pa")
        list(honest.map(lambda number: alice.message(carol.aor, f"probe {number}", within=TIMER_F + 3), range(PROBES)))

    assert dns.asked("pa", "*.flood.example", fault=flood)
    assert lab.wire.signalling.reach("MESSAGE", "pa", "chicago.example").answered(0.95, of=PROBES, within=TIMER_F)
