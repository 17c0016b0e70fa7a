"""A binding that lives for 30 s is kept open by its owner, so that a call arrives long after the registration (RFC 5626 §3.5, §4.4)."""

import pytest

pytestmark = pytest.mark.lab(topology="home", needs={"alice": ["udp", "invite", "outbound"], "bob": ["tcp", "invite"]}, about=["alice"])

KEEP_ALIVES = 3
"""At most 29 s apart over UDP (RFC 5626 §4.4.2)."""
TWO_LIVES = 60
"""Seconds since the REGISTER, however often keep-alives come: a binding that they did not refresh has been gone for as long as it lived."""


@pytest.mark.control("nat1", "drop-keepalives", expect="INVITE|call.incoming")
def test_nat_keepalive(lab, alice, bob):
    """Three keep-alives after the registration, and more than two lives of a binding, the INVITE comes in."""
    alice.register(transport="udp", outbound=True)
    assert lab.wire.kept_alive("alice", KEEP_ALIVES, over=TWO_LIVES, within=100)
    bob.register(transport="tcp")
    call = bob.invite(alice.aor)
    leg = alice.expect_invite()
    leg.reject(486)
    assert call.refused().code == 486
