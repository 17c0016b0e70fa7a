"""Who insists on SRTP must not end up with RTP (RFC 4568 §6, RFC 5763 §5, RFC 3264 §6)."""

import pytest

pytestmark = pytest.mark.lab(
    topology=["trapezoid", "trapezoid-ipv6"],
    needs={"alice": ["udp", "invite"], "bob": ["udp", "invite"], "pa": ["stateful-proxy"], "pb": ["stateful-proxy"]},
)


NEEDS = {"rtp": [], "sdes": ["srtp-sdes"], "dtls": ["srtp-dtls"]}


def refused(caller, callee, name, control):
    """A caller and a callee who each insist on their own; the control makes one of them give in."""
    needs = {"alice": NEEDS[caller], "bob": NEEDS[callee]}
    return pytest.param(caller, callee, id=name, marks=[pytest.mark.lab(needs=needs), control])


def gives_in(element, media):
    """This side takes what the other one insists on."""
    return pytest.mark.control(element, f"media={media}", expect=f"{element} (offers|answers|takes an offer of) {media}, should insist on")


@pytest.mark.parametrize(
    ("caller", "callee"),
    [
        refused("sdes", "rtp", "srtp-calls-rtp", gives_in("alice", "rtp")),
        refused("rtp", "sdes", "rtp-calls-srtp", gives_in("bob", "rtp")),
        refused("dtls", "rtp", "dtls-calls-rtp", gives_in("alice", "rtp")),
        refused("rtp", "dtls", "rtp-calls-dtls", gives_in("bob", "rtp")),
        refused("dtls", "sdes", "dtls-calls-sdes", gives_in("alice", "sdes")),
        refused("sdes", "dtls", "sdes-calls-dtls", gives_in("bob", "sdes")),
    ],
)
def test_srtp_required(lab, alice, bob, caller, callee):
    """Who insists on SRTP of one kind refuses RTP and the other kind with a final response, and not one packet of media flows."""
    alice.register(media=caller)
    bob.register(media=callee)
    call = alice.invite(bob.aor)
    leg = lab.answered_or_refused(bob, call)
    refused, wire = call.refused(), lab.wire
    if wire.signalling.responses(200, "INVITE").received_by("alice"):  # who gave in is to blame, and first of all who answered
        assert wire.keying.insists("bob", callee)
        assert wire.keying.insists("alice", caller)
    assert refused
    if leg is not None:
        assert leg.ended()

    assert wire.signalling.final_response("INVITE", 400, 699, to="alice")
    assert wire.media.none()
