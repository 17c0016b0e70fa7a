"""What goes wrong in one domain's DNS is no other domain's trouble (RFC 3263, RFC 1035 §7.2)."""

import math
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

pytestmark = pytest.mark.lab(
    topology="rogue-dns", about=["pa"], needs={"alice": ["udp", "message"], "carol": ["udp", "message"], "pa": ["udp", "message"]}
)

BAD = "*biloxi.example"
PROBES = 20
SLOWER_BY = 0.5
"""Seconds by which the 95th percentile may grow: T1 (RFC 3261 §17.1.1.1). From then on clients send their requests again."""
TIMER_F = 32.0
RECOVERED = 10.0
"""Seconds after which an answer that was no answer must be forgotten: the zones' negative TTL (5 s, RFC 2308 §5) and as much again."""


def p95(seconds):
    """The 95th percentile (nearest rank)."""
    return sorted(seconds)[math.ceil(0.95 * len(seconds)) - 1]


def delivered_in(lab, domain):
    """Seconds of each MESSAGE to a domain, from its first arrival at pa to the 200 that leaves it; infinite without one."""
    found = []
    signalling = lab.wire.signalling
    requests = signalling.requests("MESSAGE").where(lambda m: m.dst.element == "pa" and domain in m.uri)
    for call_id in requests.call_ids:
        answers = signalling.call(call_id).responses(200, "MESSAGE").received_by("alice")
        found.append(answers[0].time - requests.call(call_id)[0].time if answers else math.inf)
    return found


def probe(alice, carol):
    """PROBES messages to the honest domain, one after the other."""
    return [alice.message(carol.aor, f"probe {number}", within=TIMER_F + 3) for number in range(PROBES)]


@pytest.mark.control("pa", "serial-lookups", expect="slow domain")
def test_dns_slow_isolation(lab, dns, alice, carol):
    """While two messages wait for a name server that takes 5 s, those to another domain take no longer than before."""
    alice.register()
    carol.register()
    assert all(probe(alice, carol))
    before = delivered_in(lab, "chicago.example")
    slow = dns.fault("delay", BAD, seconds=5)
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(alice.message, f"sip:nobody{number}@biloxi.example", "hello?", within=TIMER_F + 3) for number in range(2)]
        assert dns.struck(slow, within=10)
        probe(alice, carol)
        still = [not future.done() for future in waiting]
    during = delivered_in(lab, "chicago.example")[PROBES:]

    assert len(before) == len(during) == PROBES
    grown = f"p95 {p95(before):.3f} s alone, {p95(during):.3f} s beside a slow domain"
    assert p95(during) <= p95(before) + SLOWER_BY, grown
    assert all(still), f"the slow domain was not slow: {grown}"


FAILING = {
    "nxdomain": {}, "servfail": {}, "no-data": {}, "drop": {}, "wrong-id": {}, "wrong-question": {}, "wrong-answer": {}, "cname-loop": {},
    "lame": {}, "truncate": {"tcp": False},
}  # fmt: skip
"""Faults that leave a client without an answer that it may believe."""


@pytest.mark.lab(needs={"bob": ["udp", "message"]})
@pytest.mark.control("pa", "relay-once", expect="503|message to carol")
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
    again = alice.message(bob.aor, "again", within=TIMER_F)
    while not again and time.monotonic() < repaired + RECOVERED:
        assert lab.wire.signalling.kept_from("bob", "MESSAGE")
        again = alice.message(bob.aor, "again", within=TIMER_F)

    assert dns.queries(BAD, fault=broken), "the broken domain was not asked for"
    assert not lost.ok, f"a message was delivered by {kind}"
    assert other.ok, f"message to carol: {other.what}"
    assert again.ok, f"message to bob, {RECOVERED:g} s after the repair: {again.what}"
    messages = lab.wire.signalling.requests("MESSAGE")
    assert messages.between("pa", "pc"), "no MESSAGE to chicago.example on the wire"
    assert messages.received_by("bob"), "no MESSAGE to bob on the wire"


@pytest.mark.lab(needs={"bob": ["udp", "message"]})
@pytest.mark.control("pa", "relay-once", expect="503|message")
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
        sent = alice.message(bob.aor, text, within=TIMER_F)
        assert sent.ok, f"{text} message with {kind}: {sent.what}"

    assert dns.queries(BAD, fault=fault), "the domain was not asked for"
    messages = lab.wire.signalling.requests("MESSAGE")
    assert messages.between("pa", "pb"), "no MESSAGE to biloxi.example on the wire"
    assert len(set(messages.received_by("bob").call_ids)) == 2


FLOOD = 16
"""Messages in flight at once: some times the workers of a small proxy, nothing for one that does not wait."""


@pytest.mark.control("pa", "relay-once", expect=r"of 20 messages")
@pytest.mark.parametrize("kind", ["nxdomain", "drop"], ids=["unknown", "unresponsive"])
def test_dns_random_flood(lab, dns, alice, carol, kind):
    """Of the messages to an honest domain 95 % arrive within Timer F while a subscriber floods the proxy with domains that lead nowhere."""
    alice.register()
    carol.register()
    flood = dns.fault(kind, "*.flood.example")
    with ThreadPoolExecutor(FLOOD) as pool, ThreadPoolExecutor(PROBES // 4) as honest:
        for number in range(FLOOD):
            pool.submit(alice.message, f"sip:x@r{number:04d}.flood.example", "?", within=TIMER_F + 10)
        assert dns.struck(flood, within=10)
        list(honest.map(lambda number: alice.message(carol.aor, f"probe {number}", within=TIMER_F + 3), range(PROBES)))
    arrived = [seconds for seconds in delivered_in(lab, "chicago.example") if seconds < TIMER_F]

    assert dns.queries("*.flood.example", fault=flood)
    assert len(arrived) >= 0.95 * PROBES, f"{len(arrived)} of {PROBES} messages arrived beside a flood of domains"
