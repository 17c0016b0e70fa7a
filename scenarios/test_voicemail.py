"""Voicemail: diverted calls, message waiting, the deposited audio played back, and a PIN before it (RFC 4458, RFC 3842, RFC 4733)."""

import pytest

pytestmark = pytest.mark.lab(
    topology="voicemail-ivr", needs={"alice": ["udp", "invite"], "bob": ["udp", "invite"], "vm": ["udp", "invite"]}
)

MELODY = (1140, 700, 1440)
"""Hz. What nobody plays by himself, so that a recording of it can be told from any other."""
WRONG_PIN = "9731"
DELETE_AND_LEAVE = "7#"


@pytest.fixture
def tones(lab):
    """The options of the voicemail server: its tones, its PIN and its patience."""
    return lab.plan.element("vm").options


def mailbox(user):
    """Where the owner of a mailbox gets to it."""
    return user.aor.replace("sip:", "sip:vm-", 1)


def enter(lab, call, pin, tones, *, times=1, via="rfc4733"):
    """The PIN, once it has been asked for."""
    assert lab.wire.says("vm", call.element, tones["ask_hz"], times=times)
    call.dtmf(pin, via="info" if via == "info" else "rfc4733")


def diverted(alice, bob, how):
    """A call to bob that he does not take: he is busy, does not answer, or is not there."""
    call = alice.invite(bob.aor)
    if how != "absent":
        leg = bob.expect_invite()
        leg.reject(486) if how == "busy" else leg.ring()
        assert leg.ended()
    assert call.established(within=10)
    return call


@pytest.mark.lab(needs={"bob": ["mwi", "dtmf-rfc4733"], "vm": ["mwi", "dtmf-rfc4733"]})
@pytest.mark.control("vm", "lose-messages", expect="Voice-Message: 1/0")
def test_vm_deposit_mwi(lab, alice, bob, tones):
    """A call that nobody answers leaves a message: its owner is told of it, hears exactly the audio that was left, and deletes it."""
    alice.register()
    bob.register()
    indications = bob.subscribe(bob.aor, "message-summary")
    assert bob.notified(indications, "Voice-Message: 0/0")

    call = diverted(alice, bob, "no-answer")
    assert call.heard(tones["no_answer_hz"])
    assert lab.wire.says("vm", "alice", tones["beep_hz"])
    for hz in MELODY:
        call.play(hz)
        assert lab.wire.says("alice", "vm", hz)
    call.bye()
    assert call.ended()
    assert bob.notified(indications, "Voice-Message: 1/0")
    left = lab.wire.media.sound("alice", "vm").melody(MELODY)

    own = bob.invite(mailbox(bob))
    assert own.established()
    enter(lab, own, tones["pin"], tones)
    assert lab.wire.says("vm", "bob", MELODY[-1], within=20)
    own.dtmf(DELETE_AND_LEAVE)
    assert own.ended(within=10)
    assert bob.notified(indications, "Voice-Message: 0/0")

    wire = lab.wire
    assert wire.media.sound("vm", "bob").plays(left)
    told = [m.raw for m in wire.signalling.requests("NOTIFY").across(source="pa", to="bob")]
    assert [b"Messages-Waiting: yes" in raw for raw in told] == [False, True, False]
    assert all(b"Message-Account: sip" in raw for raw in told)


@pytest.mark.parametrize(
    ("how", "cause", "greeting", "other"),
    [
        pytest.param("busy", 486, "busy_hz", "no_answer_hz", id="busy", marks=pytest.mark.control("vm", "one-greeting", expect="Hz")),
        pytest.param(
            "no-answer",
            408,
            "no_answer_hz",
            "busy_hz",
            id="no-answer",
            marks=pytest.mark.control("pa", "divert-as-busy", expect="Hz"),
        ),
        pytest.param("absent", 480, "no_answer_hz", "busy_hz", id="absent", marks=pytest.mark.control("pa", "divert-as-busy", expect="Hz")),
    ],
)
def test_vm_target_cause(lab, alice, bob, tones, how, cause, greeting, other):
    """The Request-URI of a diverted call says whose it was and why it comes, and the greeting is the one for that reason."""
    alice.register()
    if how != "absent":
        bob.register()
    call = diverted(alice, bob, how)
    assert call.heard(tones[greeting])
    assert lab.wire.says("vm", "alice", tones["beep_hz"])
    call.bye()
    assert call.ended()

    wire = lab.wire
    assert (
        wire.signalling.requests("INVITE")
        .received_by("vm")
        .shows("Request-URI", f";target={bob.aor.replace('@', '%40')}", f";cause={cause}")
    )
    assert wire.media.sound("vm", "alice").lacks(tones[other])


@pytest.mark.parametrize(
    "via",
    [
        pytest.param("rfc4733", marks=pytest.mark.lab(needs={"bob": ["dtmf-rfc4733"], "vm": ["dtmf-rfc4733"]})),
        pytest.param("info", marks=pytest.mark.lab(needs={"bob": ["dtmf-info"], "vm": ["dtmf-info"]})),
        pytest.param("inband", marks=pytest.mark.lab(needs={"bob": ["dtmf-inband"], "vm": ["dtmf-inband"]})),
    ],
)
@pytest.mark.control("vm", "any-pin", expect="Hz")
def test_ivr_dtmf_pin(lab, bob, tones, via):
    """However digits are sent, a wrong PIN is refused and the right one accepted: each has its own tone."""
    bob.register(inband=via == "inband")
    call = bob.invite(mailbox(bob))
    assert call.established()
    enter(lab, call, WRONG_PIN, tones, via=via)
    assert lab.wire.says("vm", "bob", tones["refused_hz"])
    enter(lab, call, tones["pin"], tones, times=2, via=via)
    assert call.heard(tones["accepted_hz"], within=8)
    call.bye()
    assert call.ended()
    heard = [run.hz for run in lab.wire.media.sound("vm", "bob").runs()]
    assert heard[:4] == [tones[name] for name in ("ask_hz", "refused_hz", "ask_hz", "accepted_hz")]


@pytest.mark.lab(needs={"alice": ["dtmf-rfc4733"], "bob": ["dtmf-rfc4733"], "vm": ["dtmf-rfc4733"]})
@pytest.mark.control("vm", "no-lock", expect="Hz")
def test_vm_pin_bruteforce(lab, alice, bob, tones):
    """After several wrong PINs in a row a mailbox is locked: the right one is refused too, from anywhere, until it is unlocked."""
    alice.register()
    bob.register()
    guess = alice.invite(mailbox(bob))
    assert guess.established()
    for attempt in range(1, tones["lock_after"] + 1):
        enter(lab, guess, WRONG_PIN, tones, times=attempt)
        assert lab.wire.says("vm", "alice", tones["refused_hz"], times=attempt)
    guess.bye()
    assert guess.ended()

    own = bob.invite(mailbox(bob))
    assert own.established()
    enter(lab, own, tones["pin"], tones)
    assert lab.wire.says("vm", "bob", tones["refused_hz"])
    assert lab.wire.media.sound("vm", "bob").lacks(tones["accepted_hz"])
    assert "bob" in lab.server("vm").do("locks", user="bob")

    lab.server("vm").do("unlock", user="bob")
    enter(lab, own, tones["pin"], tones, times=2)
    assert lab.wire.says("vm", "bob", tones["accepted_hz"])
    own.bye()
    assert own.ended()
