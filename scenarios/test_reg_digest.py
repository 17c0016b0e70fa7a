"""Registration with Digest authentication (RFC 3261 §10, §22; RFC 8760)."""

import pytest

pytestmark = pytest.mark.lab(
    topology=["trapezoid", "trapezoid-ipv6"],
    about=["alice", "pa"],
    needs={"alice": ["udp", "digest-md5"], "pa": ["udp", "digest-md5"]},
)


@pytest.mark.lab(needs={"alice": ["busy"], "bob": ["udp", "invite"]})
@pytest.mark.control("pa", "no-challenge", expect="401")
def test_reg_digest(lab, alice, bob):
    """A registration is challenged, answered, lists its contact with an expiry, and a request finds that contact (RFC 3261 §10.3)."""
    alice.register(transport="udp")
    bob.register(transport="udp")
    call = bob.invite(alice.aor)
    alice.expect_invite().reject(486)
    assert call.ended()

    signalling = lab.wire.signalling
    assert signalling.response_to("REGISTER", 401, to="alice"), "no challenge"
    assert signalling.authorized("REGISTER", source="alice")
    assert signalling.binding_expires("alice")


@pytest.mark.control("pa", "accept-any-password", expect="registered")
def test_reg_wrong_password(lab, alice):
    """A wrong password is refused, every time (RFC 3261 §22.4)."""
    outcome = alice.attempt_register(transport="udp", password="not-the-password", within=12)

    assert outcome.refused
    signalling = lab.wire.signalling
    assert signalling.response_to("REGISTER", 401, to="alice"), "no challenge"
    assert signalling.never_answered("REGISTER", 200, to="alice")


@pytest.mark.control("pa", "accept-any-password", expect="registered")
def test_reg_foreign_aor(lab, alice):
    """A subscriber's credentials are good for its own address of record only (RFC 3261 §10.3 steps 3 to 5)."""
    outcome = alice.attempt_register(transport="udp", aor="sip:mallory@atlanta.example", within=12)

    assert outcome.refused
    assert lab.wire.signalling.never_answered("REGISTER", 200, to="alice")


@pytest.mark.lab(needs={"alice": ["invite"], "bob": ["udp", "invite"]})
@pytest.mark.control("pa", "accept-any-password", expect="INVITE reached bob")
def test_call_wrong_password(lab, alice, bob):
    """Without the right password nobody calls through their proxy either (RFC 3261 §22.3)."""
    bob.register()
    alice.add_account(password="not-the-password")
    call = alice.invite(bob.aor)
    lab.answered_or_refused(bob, call)
    refused = call.refused()

    signalling = lab.wire.signalling
    assert signalling.response_to("INVITE", 407, to="alice"), "no challenge"
    assert signalling.kept_from("bob")
    assert refused
