"""Branches of a fork demand credentials, each for a realm of its own (RFC 3261 §16.7 step 7, §22.3)."""

import pytest

pytestmark = pytest.mark.lab(
    topology="forking", needs={"p": ["udp", "stateful-proxy"], "alice": ["udp", "invite"], "ref1": ["udp", "raw"], "ref2": ["udp", "raw"]}
)
REALMS = ("sales.example", "support.example")


def call_two_who_challenge(alice, refs):
    """A call to two contacts that let in who has alice's password, for one realm each."""
    alice.register()
    mine = {"challenge_username": alice.identity.username, "challenge_password": alice.identity.password}
    for ref, realm in zip(refs, REALMS, strict=True):
        ref.register(challenge=realm, **mine)
    return alice.invite(refs[0].aor)


@pytest.mark.lab(about=["p"])
@pytest.mark.control("p", "one-challenge", expect="no response with the challenges")
def test_fork_407_merge(lab, alice, refs):
    """Two branches challenge for two realms: one response brings the caller both challenges."""
    call = call_two_who_challenge(alice, refs)
    refs[0].incoming_or(call, within=10)
    forking = lab.wire.forking
    assert forking.reached("ref1", "ref2", by="p")
    assert forking.challenged(*REALMS, to="alice")


@pytest.mark.lab(about=["alice"])
@pytest.mark.control("alice", "misbehave=one-realm", expect="lacks credentials")
def test_fork_two_realms(lab, alice, refs):
    """A caller that is challenged for two realms at once sends credentials for both, and is let in by both branches."""
    call = call_two_who_challenge(alice, refs)
    leg = refs[0].incoming_or(call, within=10)
    forking = lab.wire.forking
    assert forking.challenged(*REALMS, to="alice")
    assert forking.credentials(*REALMS, by="alice")
    assert leg is not None, "the INVITE with both credentials was not let in"
    other = refs[1].expect_invite()
    leg.answer()
    assert call.established()
    assert other.refused()
    call.bye()
    assert leg.ended()
    assert call.ended()
