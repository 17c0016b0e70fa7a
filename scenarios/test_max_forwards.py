"""A proxy counts hops, so that a loop has an end (RFC 3261 §16.3 step 3)."""

import pytest

pytestmark = pytest.mark.lab(
    topology=["trapezoid", "trapezoid-ipv6"], about=["pa"], needs={"alice": ["udp", "raw"], "pa": ["udp", "message", "stateful-proxy"]}
)

LAST_HOP = "\r\n".join(
    (
        "MESSAGE sip:bob@biloxi.example SIP/2.0",
        "Via: SIP/2.0/UDP {local};branch=z9hG4bK-last-hop;rport",
        "Max-Forwards: 0",
        "From: <sip:alice@atlanta.example>;tag=last-hop",
        "To: <sip:bob@biloxi.example>",
        "Call-ID: last-hop-{local}",
        "CSeq: 1 MESSAGE",
        "Content-Type: text/plain",
        "Content-Length: 2",
        "",
        "hi",
    )
)


@pytest.mark.control("pa", "ignore-max-forwards", expect="no 483")
def test_max_forwards(lab, alice):
    """A request that may go no further is answered 483, before it is asked who sent it."""
    alice.send_raw(LAST_HOP)
    lab.wire.wait(lambda m: m.method == "MESSAGE" and (m.status or 0) >= 200, within=3)

    signalling = lab.wire.signalling
    assert signalling.kept_from("pb", "MESSAGE")
    assert signalling.response_to("MESSAGE", 483, to="alice")
