"""The certificate of a DTLS handshake must be the one that the signalling announced (RFC 5763 §5, RFC 8122 §6.2)."""

import pytest

pytestmark = pytest.mark.lab(topology="trapezoid", needs={"alice": ["udp", "srtp-dtls"], "bob": ["udp", "srtp-dtls"]})


@pytest.mark.parametrize(
    ("deceived", "other", "how"),
    [
        pytest.param(
            "alice",
            "bob",
            "swap-answered-fingerprint",
            id="caller",
            marks=pytest.mark.control("alice", "misbehave=accept-any-fingerprint", expect="RTP flowed"),
        ),
        pytest.param(
            "bob",
            "alice",
            "swap-offered-fingerprint",
            id="callee",
            marks=pytest.mark.control("bob", "misbehave=accept-any-fingerprint", expect="RTP flowed"),
        ),
    ],
)
def test_dtls_fingerprint(lab, deceived, other, how):
    """A proxy announces another certificate to one side, and that side sends no media to who shows the true one."""
    sides = {name: lab.user_agent(name) for name in ("alice", "bob")}
    lab.server("pa").misbehave(how)
    try:
        for side in sides.values():
            side.register(media="dtls")
        call = sides["alice"].invite(sides["bob"].aor)
        leg = lab.answered_or_refused(sides["bob"], call)
        legs = {"alice": call, "bob": leg}
        if legs[other] is not None:
            legs[other].heard(sides[deceived].tone)  # as long as media may come; what came tells the wire
    finally:
        lab.behave()

    media = lab.wire.media
    assert media.handshake("alice", "bob")
    assert media.none(by=deceived)
