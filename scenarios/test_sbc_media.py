"""Media through a session border controller (RFC 5853 §3.2, RFC 4568)."""

import pytest

pytestmark = pytest.mark.lab(topology="sbc", needs={"alice": ["invite"], "bob": ["udp", "invite"], "sbc": ["invite"]})


@pytest.mark.lab(needs={"alice": ["udp", "hold"], "bob": ["hold"]})
@pytest.mark.control("sbc", "anchor-first-offer", expect="hear|asks for media at")
def test_sbc_media_anchor(lab, alice, bob):
    """Each side sends media to the border alone and gets them from it alone, also after a re-INVITE."""
    alice.register()
    bob.register()
    call = alice.invite(bob.aor)
    leg = bob.expect_invite()
    leg.answer()
    assert call.established()
    assert leg.established()
    assert lab.talking(call, leg)
    assert call.hold()
    assert lab.wire.signalling.offered("sendonly", "inactive", by="alice")
    assert call.resume()
    assert lab.talking(call, leg)
    call.bye()
    assert leg.ended()

    wire = lab.wire
    assert wire.media.announced_at("sbc", to="alice")
    assert wire.media.announced_at("sbc", to="bob")
    assert wire.media.on("internet").only_between("alice", "sbc")
    assert wire.media.on("core").only_between("bob", "sbc")


@pytest.mark.lab(needs={"alice": ["tls", "srtp-sdes"], "sbc": ["tls", "srtp-sdes", "srtp-interworking"]})
@pytest.mark.parametrize(("caller", "callee"), [pytest.param("alice", "bob", id="inward"), pytest.param("bob", "alice", id="outward")])
@pytest.mark.control("alice", "media=rtp", expect="negotiated no SRTP key|not established|call.incoming")
def test_sbc_srtp_rtp(lab, caller, callee):
    """SRTP outside and RTP inside: both sides hear each other, and outside every packet authenticates with the key of its sender."""
    sides = {name: lab.user_agent(name) for name in ("alice", "bob")}
    sides["alice"].register(transport="tls", media="sdes")
    sides["bob"].register(media="rtp")
    call = sides[caller].invite(sides[callee].aor)
    leg = sides[callee].expect_invite()
    leg.answer()
    assert call.established()
    assert leg.established()
    assert lab.talking(call, leg)
    call.bye()
    assert leg.ended()

    wire = lab.wire
    assert wire.media.on("internet").all_srtp()
    assert wire.media.on("internet").only_between("alice", "sbc")
    assert wire.media.on("core").all_rtp()
