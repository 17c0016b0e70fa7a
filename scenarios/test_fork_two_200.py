"""Two of several contacts answer at the same time: two dialogs, of which the caller keeps one (RFC 3261 §13.2.2.4, §16.7 step 5)."""

from concurrent.futures import ThreadPoolExecutor

import pytest

pytestmark = pytest.mark.lab(
    topology="forking", needs={"p": ["udp", "stateful-proxy"], "alice": ["udp", "invite"], "ref1": ["udp", "raw"], "ref2": ["udp", "raw"]}
)


def answered_twice(alice, refs, forked):
    """A call that both answer at once: neither heeds the CANCEL, as if it had crossed the 200."""
    alice.register()
    for ref in refs:
        ref.register(misbehave="ignore-cancel")
    call = alice.invite(refs[0].aor)
    assert forked("ref1", "ref2")
    legs = [ref.expect_invite() for ref in refs]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda leg: leg.answer(), legs))
    assert call.established()
    return call, legs


@pytest.mark.lab(about=["p"])
@pytest.mark.control("p", "drop-second-2xx", expect="2xx of 1 branches")
def test_fork_every_2xx(lab, alice, refs, forked):
    """Both 200 reach the caller: a proxy passes on every 2xx, also after it has cancelled the branch."""
    answered_twice(alice, refs, forked)
    assert lab.wire.forking.answers(2, to="alice")


@pytest.mark.lab(about=["alice"])
@pytest.mark.control("alice", "misbehave=one-dialog", expect="no ACK from alice")
def test_fork_two_200(lab, alice, refs, forked):
    """Of two 200 the caller acknowledges both by their To tags, ends one dialog with BYE, and talks in the other."""
    call, legs = answered_twice(alice, refs, forked)
    forking = lab.wire.forking
    assert forking.answers(2, to="alice")
    assert forking.acknowledged(by="alice")
    byes = lab.wire.wait(lambda m: m.is_request and m.method == "BYE" and m.dst.element in ("ref1", "ref2"), within=5.0)
    assert lab.wire.forking.hung_up(1, by="alice")
    ended, kept = legs if byes.received_by("ref1") else reversed(legs)
    assert ended.ended()
    assert kept.established()
    assert call.heard(lab.user_agent(kept.element).tone)
    assert lab.wire.media.reached("alice", kept.element)
    assert lab.talking(call, kept)

    call.bye()
    assert kept.ended()
    assert call.ended()
