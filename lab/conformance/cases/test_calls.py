"""Registration and calls, each in the way that proves one capability of alice; bob needs what the probe takes."""

from __future__ import annotations

import pytest

from lab.agents.user_agent import UserAgent
from lab.conformance.breach import hold
from lab.conformance.conversation import renew, talk_both_ways
from lab.session.lab import Lab

pytestmark = pytest.mark.lab(topology="trapezoid", needs={"bob": ["invite"]})

DIGITS = "5#1"
TEXT = "The rain in Spain: 100 % <tags> & \u00fcml\u00e4uts"


def test_registration(lab: Lab, alice: UserAgent, over: str) -> None:
    """A registration is challenged, answered, lists its contact with an expiry, and can be taken back."""
    alice.register(transport=over)
    signalling = lab.wire.signalling
    assert signalling.response_to("REGISTER", 401, to="alice"), "no challenge"
    assert signalling.authorized("REGISTER", source="alice")
    assert signalling.binding_expires("alice")
    assert alice.unregister()


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_registration_over(lab: Lab, alice: UserAgent, transport: str) -> None:
    """SIP goes over this transport and no other."""
    alice.register(transport=transport)
    assert lab.wire.signalling.between("alice", "pa").all_over(transport)


def test_call_out(lab: Lab, alice: UserAgent, bob: UserAgent, over: str) -> None:
    """It calls, and each side hears the other."""
    alice.register(transport=over)
    talk_both_ways(lab, alice, bob)


def test_call_in(lab: Lab, alice: UserAgent, bob: UserAgent, over: str) -> None:
    """It is called, and each side hears the other."""
    alice.register(transport=over)
    talk_both_ways(lab, bob, alice)


@pytest.mark.lab(needs={"bob": ["ipv6"], "pb": ["ipv6"]})
def test_call_over_ipv6(lab: Lab, alice: UserAgent, bob: UserAgent, over: str) -> None:
    """SIP and RTP over IPv6."""
    alice.register(transport=over, family=6)
    renew(bob, transport=over, family=6)
    talk_both_ways(lab, alice, bob)
    wire = lab.wire
    wrong = [m.frame for m in wire.signalling.between("alice", "pa") if ":" not in m.src.address]
    hold("alice", "ipv6", [f"SIP over IPv4 in frame {wrong[0]}"] if wrong else [])
    media = wire.media.from_("alice")
    wrong = [flow.packets[0].frame for flow in media if ":" not in flow.src.address]
    hold("alice", "ipv6", [f"RTP over IPv4 in frame {wrong[0]}"] if wrong else [] if media else ["no RTP"])


@pytest.mark.parametrize(
    "media",
    [
        pytest.param("sdes", marks=pytest.mark.lab(needs={"bob": ["srtp-sdes"]})),
        pytest.param("dtls", marks=pytest.mark.lab(needs={"bob": ["srtp-dtls"]})),
        pytest.param("zrtp", marks=pytest.mark.lab(needs={"bob": ["zrtp"]})),
    ],
)
def test_secure_call(lab: Lab, alice: UserAgent, bob: UserAgent, over: str, media: str) -> None:
    """The media are SRTP, keyed as it should be, and each side hears the other."""
    alice.register(transport=over, media=media)
    bob.register(transport=over, media=media)
    talk_both_ways(lab, alice, bob)
    wire = lab.wire
    if media == "zrtp":
        assert wire.media_path.agreed_by_zrtp("alice", "bob")
    assert wire.media.looks_random() if media == "zrtp" else wire.media.all_srtp()


@pytest.mark.lab(needs={"bob": ["delayed-offer"]})
def test_delayed_offer_answered(lab: Lab, alice: UserAgent, bob: UserAgent, over: str) -> None:
    """A call without SDP is answered with an offer, and each side hears the other."""
    alice.register(transport=over)
    talk_both_ways(lab, bob, alice, offer="delayed")


@pytest.mark.lab(needs={"bob": ["raw"]})
def test_early_media(lab: Lab, alice: UserAgent, bob: UserAgent, over: str) -> None:
    """The tone that comes with a 183 is heard before the call is answered (RFC 3960 §3.2)."""
    alice.register(transport=over)
    renew(bob, transport=over, early_media=True)
    call = alice.invite(bob.aor)
    leg = bob.expect_invite()
    leg.ring()
    assert call.ringing()
    assert call.heard(bob.tone)
    hold("alice", "call states", ["established was told before the answer"] if "established" in call.states() else [])
    leg.reject(486)
    assert call.ended()


@pytest.mark.parametrize("code", [486, 603])
def test_reject(lab: Lab, alice: UserAgent, bob: UserAgent, over: str, code: int) -> None:
    """A call is refused with the code that was asked for."""
    alice.register(transport=over)
    call = bob.invite(alice.aor)
    alice.expect_invite().reject(code)
    assert call.ended()
    assert lab.wire.signalling.sent_by("alice").response_to("INVITE", code)


def test_redirect(lab: Lab, alice: UserAgent, bob: UserAgent, over: str) -> None:
    """A call is answered with 302 and the contact that was asked for."""
    alice.register(transport=over)
    bob.invite(alice.aor)
    alice.expect_invite().redirect("sip:carol@chicago.example")
    answers = lab.wire.wait(lambda m: m.status == 302 and m.src.element == "alice", within=5.0, about="302 from alice")
    hold("alice", "redirect", [] if any("carol@chicago.example" in m.header("Contact") for m in answers) else ["no 302 with the contact"])


@pytest.mark.parametrize(
    "via",
    [
        pytest.param("rfc4733", marks=pytest.mark.lab(needs={"bob": ["dtmf-rfc4733"]})),
        pytest.param("info", marks=pytest.mark.lab(needs={"bob": ["dtmf-info"]})),
    ],
)
def test_digits(lab: Lab, alice: UserAgent, bob: UserAgent, over: str, via: str) -> None:
    """Digits that it sends arrive, and those that it is sent are reported, once each and in order."""
    alice.register(transport=over)
    call = alice.invite(bob.aor)
    leg = bob.expect_invite()
    leg.answer()
    assert call.established()
    assert leg.established()
    for sender, receiver in ((call, leg), (leg, call)):
        for digits in DIGITS if via == "info" else (DIGITS,):  # nothing keeps INFO requests in flight in order
            sender.dtmf(digits, via=via)
            assert receiver.received_digits(digits)
    call.bye()
    assert leg.ended()
    assert call.no_other_digits(DIGITS)
    assert leg.no_other_digits(DIGITS)


@pytest.mark.lab(needs={"alice": ["dtmf-inband"]})
def test_digits_as_sound(lab: Lab, alice: UserAgent, bob: UserAgent, over: str) -> None:
    """Digits that it sends as sound are heard on the wire, and telephone-events are not offered (ITU-T Q.23)."""
    alice.register(transport=over, inband=True)
    call = alice.invite(bob.aor)
    bob.expect_invite().answer()
    assert call.established()
    call.dtmf(DIGITS)
    assert lab.wire.dials("alice", "bob", DIGITS)
    offers = lab.wire.signalling.requests("INVITE").sent_by("alice")
    hold("alice", "call.dtmf", ["telephone-event is offered"] if any(b"telephone-event" in m.body for m in offers) else [])


@pytest.mark.lab(needs={"bob": ["message"]})
def test_messages(alice: UserAgent, bob: UserAgent, over: str) -> None:
    """A message that it sends and one that it is sent arrive unchanged."""
    alice.register(transport=over)
    sent = alice.message(bob.aor, TEXT)
    assert bob.expect_message() == TEXT
    assert sent
    answered = bob.message(alice.aor, TEXT)
    hold("alice", "message.received", [] if alice.expect_message() == TEXT else ["the text was changed"])
    assert answered
