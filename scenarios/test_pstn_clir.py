"""Who calls, and who may know it, across a gateway (RFC 3323 §4, RFC 3325 §5 to §9, RFC 3398 §7.2.1.1, §8.2.1.1)."""

import pytest

pytestmark = pytest.mark.lab(
    topology="pstn-gateway", about=["alice", "pa", "gw"], needs={"alice": ["udp", "invite"], "gw": ["asserted-identity"]}
)

ALICE, CALLER = "+49401", "+49301"
"""Telephone numbers: a subscriber's, and one of the telephone network."""


def _answered(trunk_call, leg):
    leg.answer()
    assert trunk_call.established()
    assert leg.established()
    trunk_call.bye()
    assert leg.ended()


@pytest.mark.control("gw", "hide-number", expect=r"gw says to keep|not \+49301")
def test_pstn_clip(lab, alice):
    """A caller who hides nothing: both proxy and subscriber are told the number that the telephone network asserts."""
    alice.register()
    call = lab.trunk.call(ALICE, CALLER)
    _answered(call, alice.expect_invite())
    telephony = lab.wire.telephony
    assert telephony.asserted(CALLER, by="trunk", to="gw")
    assert telephony.asserted(CALLER, by="gw", to="pa")
    assert telephony.shown(CALLER, to="alice")


@pytest.mark.parametrize(
    "who",
    [
        pytest.param("gateway", marks=pytest.mark.control("gw", "show-number", expect=r"alice reads \+49301 in INVITE")),
        pytest.param("proxy", marks=pytest.mark.control("pa", "keep-private-identity", expect=r"alice reads \+49301 in INVITE")),
    ],
)
def test_pstn_clir_inward(lab, alice, who):
    """A restricted caller: the subscriber, whom nobody trusts, gets no number in any header of any message.

    Two may let it out: the gateway, and the proxy that it tells in confidence. Each is a control.
    """
    alice.register()
    call = lab.trunk.call(ALICE, CALLER, restricted=True)
    _answered(call, alice.expect_invite())
    telephony = lab.wire.telephony
    assert telephony.asserted(CALLER, by="trunk", to="gw", private=True)
    assert telephony.hidden(CALLER, to="alice")


@pytest.mark.lab(needs={"alice": ["raw"]})
@pytest.mark.control("gw", "show-number", expect=r"not to keep \+49401 private")
def test_pstn_clir_outward(lab, alice):
    """A subscriber who withholds its number: the telephone network, which is trusted, is told it, and that nobody else may be."""
    alice.register(anonymous=True)
    call = alice.dial(CALLER)
    leg = lab.trunk.expect_call(CALLER)
    assert call.established()
    call.bye()
    assert leg.ended()
    telephony = lab.wire.telephony
    assert telephony.asserted("alice", by="pa", to="gw", private=True)
    assert telephony.asserted(ALICE, by="gw", to="trunk", private=True)
