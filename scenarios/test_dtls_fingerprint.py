"""The certificate of a DTLS handshake must be the one that the signalling announced (RFC 5763 §5, RFC 8122 §6.2)."""

import pytest

pytestmark = pytest.mark.lab(
    topology=["trapezoid", "trapezoid-ipv6"],
    needs={
        "alice": ["udp", "srtp-dtls"],
        "bob": ["udp", "srtp-dtls"],
        "pa": ["stateful-proxy", "control:misbehave"],
        "pb": ["stateful-proxy"],
    },
)


def deceives(deceived, other, how, name):
    """The proxy lies to `deceived`; a user agent that looks at no certificate must turn it red."""
    control = pytest.mark.control(deceived, "misbehave=accept-any-fingerprint", expect="RTP flowed")
    return pytest.param(deceived, other, how, id=name, marks=control)


LIES = [
    deceives("alice", "bob", "swap-answered-fingerprint", "caller"),
    deceives("bob", "alice", "swap-offered-fingerprint", "callee"),
    deceives("alice", "bob", "zero-answered-fingerprint", "caller-zeros"),
    deceives("bob", "alice", "zero-offered-fingerprint", "callee-zeros"),
]
"""The other fingerprint is one that no certificate has; of zeros it could be taken for none."""


@pytest.mark.parametrize(("deceived", "other", "how"), LIES)
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
            legs[other].ended(within=4.0)  # or media may come: the wire tells
    finally:
        lab.behave()

    wire = lab.wire
    assert wire.signalling.response_to("INVITE", 200, to="alice"), "refused before there was a certificate to look at"
    assert wire.media.certificate(source=other, destination=deceived)
    assert wire.media.none(by=deceived)
