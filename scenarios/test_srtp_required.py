"""Who insists on SRTP must not end up with RTP (RFC 4568 §6, RFC 3264 §6)."""

import pytest

pytestmark = pytest.mark.lab(topology="trapezoid", needs={"alice": ["udp", "invite"], "bob": ["udp", "invite"]})


@pytest.mark.parametrize(
    ("caller", "callee"),
    [
        pytest.param(
            "sdes",
            "rtp",
            id="srtp-calls-rtp",
            marks=[pytest.mark.lab(needs={"alice": ["srtp-sdes"]}), pytest.mark.control("alice", "media=rtp", expect="established|clear")],
        ),
        pytest.param(
            "rtp",
            "sdes",
            id="rtp-calls-srtp",
            marks=[pytest.mark.lab(needs={"bob": ["srtp-sdes"]}), pytest.mark.control("bob", "media=rtp", expect="established|clear")],
        ),
    ],
)
def test_srtp_required(lab, alice, bob, caller, callee):
    """SRTP-only against RTP-only is refused with a final response, and not one packet of media flows."""
    alice.register(media=caller)
    bob.register(media=callee)
    call = alice.invite(bob.aor)
    leg = lab.answered_or_refused(bob, call)
    assert call.refused()
    if leg is not None:
        assert leg.ended()

    wire = lab.wire
    assert wire.signalling.final_response("INVITE", 400, 699, to="alice")
    assert wire.media.none()
