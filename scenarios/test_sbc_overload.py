"""Too much from one peer is that peer's problem (RFC 3261 §21.5.4, RFC 7339)."""

import pytest

pytestmark = pytest.mark.lab(
    topology="sbc",
    about=["sbc"],
    needs={
        "alice": ["tcp", "raw"],
        "carol": ["udp", "message"],
        "bob": ["udp", "message"],
        "sbc": ["tcp", "message", "overload-protection"],
    },
)

REQUEST = "\r\n".join(
    (
        "MESSAGE sip:bob@biloxi.example SIP/2.0",
        "Via: SIP/2.0/TCP {local};branch=z9hG4bK-{number};rport",
        "Max-Forwards: 70",
        "From: <sip:alice@atlanta.example>;tag=load",
        "To: <sip:bob@biloxi.example>",
        "Call-ID: load-{number}@{local}",
        "CSeq: 1 MESSAGE",
        "Content-Length: 0",
        "",
        "",
    )
)
BURST, AT_ONCE, ROUNDS = 5, 50, 2
"""Writes of a burst, requests of a write, bursts: together 500 requests, within a second or two."""


def burst(agent, number):
    """A burst over connections of their own: nobody's retransmissions, nobody's congestion window slows it."""
    for write in range(BURST):
        texts = (REQUEST.replace("{number}", f"{number}-{write}-{each}") for each in range(AT_ONCE))
        agent.send_raw("".join(texts), proxy="tcp")


@pytest.mark.control("sbc", "accept-any-load", expect="0 of 500 MESSAGE of alice were answered 503")
def test_sbc_overload(lab, alice, bob, carol):
    """One peer sends many times what is granted and is told by 503 when to come back; meanwhile 95 % of another's requests succeed."""
    bob.register()
    carol.register()
    sent = []
    for number in range(ROUNDS):
        burst(alice, number)
        sent += [carol.message(bob.aor, f"{number}-{each}") for each in range(10)]

    assert lab.wire.load("alice", "MESSAGE").shed(0.5)
    failed = [outcome for outcome in sent if not outcome.ok]
    assert len(failed) <= 0.05 * len(sent), f"{len(failed)} of {len(sent)} messages of carol failed, one as {failed[0].what}"
