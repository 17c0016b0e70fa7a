"""Conferences: who hears whom, who may come in, and what the focus says of itself (RFC 4353, RFC 4579)."""

import pytest

pytestmark = pytest.mark.lab(
    topology="conference", needs={"alice": ["udp", "invite"], "bob": ["udp", "invite"], "focus": ["udp", "invite"]}
)

ROOM, VAULT = "sip:room@conf.example", "sip:vault@conf.example"
PINS = pytest.mark.lab(needs={"alice": ["dtmf-rfc4733"], "bob": ["dtmf-rfc4733"], "focus": ["dtmf-rfc4733"]})
THREE = pytest.mark.lab(needs={"carol": ["udp", "invite"]})


def joined(user, room, transport="udp"):
    """A call to a room that was answered."""
    call = user.invite(f"{room};transport={transport}")
    assert call.established()
    return call


@THREE
@pytest.mark.control("focus", "echo", expect="own tone")
def test_conf_3way(lab, alice, bob, carol):
    """Each of three hears the two others and never itself; when one leaves, its tone goes."""
    users = (alice, bob, carol)
    for user in users:
        user.register()
    calls = {user: joined(user, ROOM) for user in users}
    for user, call in calls.items():
        assert call.hears_all(*(other.tone for other in users if other is not user), own=user.tone)
    calls[carol].bye()
    assert calls[carol].ended()
    assert calls[alice].heard(bob.tone)
    assert calls[bob].heard(alice.tone)
    for user in (alice, bob):
        calls[user].bye()
        assert calls[user].ended()

    wire = lab.wire
    media, signalling = wire.media, wire.signalling
    assert all(media.sound("focus", user.name).lacks(user.tone) for user in users)
    assert signalling.on_every_hop("BYE", "carol", "pa", "focus")


@pytest.mark.control("pa", "strip-isfocus", expect="without ;isfocus")
def test_conf_isfocus(lab, alice):
    """Who is called says in its Contact that it is a focus, so that a user agent can ask for more than a call."""
    alice.register()
    call = joined(alice, ROOM)
    call.bye()
    assert call.ended()
    answers = lab.wire.signalling.responses(200, "INVITE")
    assert answers.sent_by("focus").shows("Contact", ";isfocus")
    assert answers.received_by("alice").shows("Contact", ";isfocus")


@THREE
@pytest.mark.lab(needs={"alice": ["refer"]})
@pytest.mark.control("pa", "swallow-refer", expect="no SIP message")
def test_conf_refer_dialout(lab, alice, bob, carol):
    """A participant asks the focus for a third one, who is called, hears both, and is heard; who asked stays (RFC 4579 §5.5)."""
    users = (alice, bob, carol)
    for user in users:
        user.register()
    calls = {user: joined(user, ROOM) for user in (alice, bob)}
    calls[alice].refer(carol.aor)
    told = lab.wire.wait(invited_or_over, within=10, about="INVITE to carol, or NOTIFY that the referral is over")
    assert told
    if told[0].method == "NOTIFY":
        assert told.shows("body", "SIP/2.0 2")
    calls[carol] = carol.expect_invite()
    calls[carol].answer()
    assert calls[carol].established()
    for user, call in calls.items():
        assert call.hears_all(*(other.tone for other in users if other is not user), own=user.tone)
    signalling = lab.wire.signalling
    assert signalling.final_response("REFER", 200, 299, to="alice")
    assert signalling.on_every_hop("NOTIFY", "focus", "pa", "alice")


def invited_or_over(m):
    """The INVITE that a referral leads to, or the NOTIFY that says that it is over (RFC 3515 §2.4.4, RFC 6665 §8.2.3)."""
    if not m.is_request:
        return False
    over = m.method == "NOTIFY" and m.src.element == "focus" and "terminated" in m.header("Subscription-State")
    return over or (m.method == "INVITE" and m.dst.element == "carol")


@pytest.mark.lab(needs={"alice": ["tls", "srtp-sdes"], "focus": ["tls", "srtp-sdes"]})
@pytest.mark.control("alice", "media=rtp", expect="no SRTP key")
def test_conf_mixed_crypto(lab, alice, bob):
    """A room that takes SRTP and RTP mixes them, and never sends in clear to who came with SRTP."""
    alice.register(transport="tls", media="sdes")
    bob.register()
    secure, plain = joined(alice, ROOM, "tls"), joined(bob, ROOM)
    assert secure.heard(bob.tone)
    assert plain.heard(alice.tone)
    wire = lab.wire
    media = wire.media
    assert media.of("alice").all_srtp()
    assert media.of("alice").both_ways("alice", "focus")
    assert media.of("bob").all_rtp()
    assert wire.signalling.between("alice", "pa").all_over("tls")
    assert wire.signalling.between("pa", "focus").call(secure_call_id(wire)).all_over("tls")


def secure_call_id(wire):
    """The Call-ID of the leg of alice, which no proxy changes (RFC 3261 §16.6)."""
    return wire.signalling.requests("INVITE").sent_by("alice")[0].call_id


@PINS
@pytest.mark.lab(needs={"carol": ["udp", "invite", "dtmf-rfc4733"]})
@pytest.mark.control("focus", "open-vault", expect="Hz")
def test_conf_unauth_join_no_pin(lab, alice, bob, carol):
    """Who does not know the PIN of a room is refused, and hears nobody in it."""
    options = lab.plan.element("focus").options
    inside = occupied(lab, alice, bob)
    carol.register()
    call = joined(carol, VAULT)
    assert lab.wire.says("focus", "carol", options["ask_hz"])
    call.dtmf("0000")
    assert lab.wire.says("focus", "carol", options["refused_hz"])
    assert lab.talking(*inside)
    assert kept_out(lab, alice, bob)


@PINS
@pytest.mark.lab(needs={"carol": ["udp", "invite", "raw"]})
@pytest.mark.parametrize(
    "header",
    [
        pytest.param("Replaces", marks=pytest.mark.control("pa", "strip-replaces", expect="established")),
        pytest.param("Join", marks=pytest.mark.control("focus", "open-vault", expect="Hz")),
    ],
)
def test_conf_unauth_join_forged(lab, alice, bob, carol, header):
    """Who claims a place in a dialog of which he knows the Call-ID alone is refused, or still has to know the PIN, and hears nobody.

    Replaces is refused (RFC 3891 §3). So is Join (RFC 3911 §4) where it is known, and where it is not it changes nothing.
    """
    inside = occupied(lab, alice, bob)
    known = lab.wire.signalling.requests("INVITE").received_by("focus")[0].call_id
    carol.register(headers=[[header, f"{known};to-tag=guessed;from-tag=guessed"]])
    call = carol.invite(f"{VAULT};transport=udp")
    refused = call.refused()
    assert refused or header == "Join"
    assert lab.talking(*inside)
    wire = lab.wire
    signalling = wire.signalling
    mine = signalling.requests("INVITE").received_by("focus").where(lambda m: "carol@" in m.header("From"), "of carol")
    assert mine.shows(header, known)
    if refused:
        assert (
            signalling.response_to("INVITE", 481, to="carol")
            if header == "Replaces"
            else signalling.final_response("INVITE", 400, 499, to="carol")
        )
        assert wire.media.of("carol").none()
    else:
        assert kept_out(lab, alice, bob)


@PINS
@pytest.mark.lab(needs={"carol": ["udp", "raw"]})
@pytest.mark.control("focus", "open-door", expect="4")
def test_conf_unauth_join_stranger(lab, alice, bob, carol):
    """Who comes to the focus past the proxy that it knows, in the name of one who is known, is not let in."""
    inside = occupied(lab, alice, bob)
    carol.send_raw(stranger(lab.plan.element("carol").ipv4), proxy="focus/udp")
    refusal = lab.wire.wait(lambda m: m.dst.element == "carol" and (m.status or 0) >= 200, within=5, about="answers to carol")
    assert refusal
    assert lab.talking(*inside)
    wire = lab.wire
    assert wire.signalling.final_response("INVITE", 400, 499, to="carol")
    assert wire.media.of("carol").none()


def stranger(host):
    """An INVITE in the name of alice, for the port that it is sent from to fill in."""
    body = f"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio 40990 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
    head = (
        "INVITE sip:room@conf.example SIP/2.0",
        "Via: SIP/2.0/UDP {local};branch=z9hG4bKstranger;rport",
        "Max-Forwards: 70",
        "From: <sip:alice@atlanta.example>;tag=stranger",
        "To: <sip:room@conf.example>",
        f"Call-ID: stranger@{host}",
        "CSeq: 1 INVITE",
        "Contact: <sip:alice@{local}>",
        "Content-Type: application/sdp",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join((*head, "", body))


def occupied(lab, alice, bob):
    """A room with a PIN in which two hear each other."""
    options = lab.plan.element("focus").options
    calls = []
    for user in (alice, bob):
        user.register()
        calls.append(joined(user, VAULT))
        assert lab.wire.says("focus", user.name, options["ask_hz"])
        calls[-1].dtmf(options["pin"])
    assert lab.talking(*calls)
    return calls


def kept_out(lab, alice, bob):
    """What carol was sent holds neither tone."""
    heard = lab.wire.media.sound("focus", "carol")
    leaks = [heard.lacks(user.tone) for user in (alice, bob)]
    return leaks[0] and leaks[1]
