"""A domain's first server is dead or overloaded: the next one is contacted, in time (RFC 3263 §4.3, RFC 2782)."""

import pytest

pytestmark = pytest.mark.lab(topology="rogue-dns")

TIMER_B, THEN = 32.0, 2.0
"""Seconds (RFC 3261 §17.1.1.2; Timer F alike): after that long a client knows that a server does not answer, and then goes on at once."""


@pytest.fixture(params=["silent", "answer-503"])
def first_server(request, lab):
    """Biloxi's proxy, up and of no use."""
    pb = lab.server("pb")
    pb.misbehave(request.param)
    yield request.param
    pb.behave()


@pytest.mark.lab(
    about=["pa"],
    needs={"alice": ["udp", "invite"], "bob": ["udp", "invite"], "pa": ["udp", "srv-failover", "invite"], "pb": ["control:misbehave"]},
)
@pytest.mark.control("pa", "pin-next-hop", expect="pa sent no INVITE to pc")
def test_dns_srv_failover(lab, dns, alice, bob, first_server):
    """A call goes through the second server of its domain within Timer B; a 503 of the first is acknowledged and kept."""
    alice.register()
    bob.register(proxy="pc/udp")
    call = alice.invite(f"{bob.aor};transport=udp")
    lab.answered_or_refused(bob, call, within=TIMER_B + 5)

    signalling = lab.wire.signalling
    assert signalling.reach("INVITE", "pa").failed_over("pb", "pc", within=TIMER_B + THEN)
    assert call.established()
    if first_server == "answer-503":
        assert signalling.between("pa", "pb").order("INVITE", 503, "ACK")
    assert signalling.never_answered("INVITE", 503, to="alice")
    assert dns.asked("pa", "*biloxi.example")


@pytest.mark.lab(about=["alice"], needs={"alice": ["udp", "srv"]})
@pytest.mark.control("alice", "proxy=udp", expect="received no REGISTER")
@pytest.mark.parametrize("answer", [None, 503], ids=["silent", "answer-503"])
def test_dns_srv_failover_ua(lab, dns, alice, mallory, answer):
    """A user agent registers with the second server of its domain within Timer F, when the first is silent or answers 503."""
    first, second = (lab.plan.element(name).hostname for name in ("mallory", "pa"))
    dns.answer("_sip._udp.atlanta.example", "SRV", f"10 0 5060 {first}.", f"20 0 5060 {second}.")
    mallory.answer(answer)
    outcome = alice.attempt_register(proxy="domain/udp", within=TIMER_B + 5)

    assert mallory.received("REGISTER", within=1)
    signalling = lab.wire.signalling
    assert signalling.reach("REGISTER", "alice").failed_over("mallory", "pa", within=TIMER_B + THEN)
    assert signalling.between("alice", "pa").authorized("REGISTER", source="alice")
    assert outcome
