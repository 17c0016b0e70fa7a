"""Extensions at work between two user agents: UPDATE, session timers, glare, events, Replaces, IPv6."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sip_pair import RELIABLE, Side, established, pair, ringing, run, until
from sipmessage import URI, Request

from lab.sip import glare
from lab.sip.exchange import ServerTransaction
from lab.sip.message import respond
from lab.sip.mwi import PACKAGE, Mailbox
from lab.sip.session_timer import Policy
from lab.sip.transfer import Replaces


def timed(seconds: int) -> dict[str, Any]:
    return {"require": frozenset({"timer"}), "session": Policy(seconds, 1)}


LAX = {"session": Policy(None, 1)}


# -- RFC 3311, RFC 3261 §14 --------------------------------------------------------------------------------------------------------------


def test_update_changes_an_established_and_an_early_session():
    async def script():
        async with pair(alice_is=RELIABLE) as (alice, bob):
            call, leg = await ringing(alice, bob)
            call.update()
            await alice.diary.wait("updated", 200)
            leg.respond(200)
            await bob.diary.wait("established")
            leg.update()
            await bob.diary.wait("updated", 200)
            assert bob.requests("UPDATE")[0].body
            assert await alice.diary.sound()

    run(script)


def test_an_update_before_any_answer_meets_the_offer_of_the_invite():
    """RFC 3311 §5.2: 500 with Retry-After for the caller's, whose offer waits for us."""

    async def script():
        async with pair() as (alice, bob):
            call, _ = await ringing(alice, bob)
            call.update()
            await alice.diary.wait("updated", 500)
            assert alice.responses(500, "UPDATE")[0].headers.get("Retry-After")

    run(script)


def test_two_holds_that_cross_are_both_refused_and_tried_again(monkeypatch):
    monkeypatch.setattr(glare, "STEP", 0.001)

    async def script():
        async with pair() as (alice, bob):
            call, leg = await established(alice, bob)
            call.hold(True)
            leg.hold(True)
            await alice.diary.wait("held")
            await bob.diary.wait("held")
            assert alice.responses(491)
            assert bob.responses(491)
            for side in (alice, bob):
                assert not [entry for entry in side.diary.entries if entry[0] in ("trouble", "terminated")]

    run(script)


def test_accept_glare_lets_both_through():
    async def script():
        async with pair() as (alice, bob):
            for side in (alice, bob):
                side.ua.misbehave("accept-glare")
            call, leg = await established(alice, bob)
            call.hold(True)
            leg.hold(True)
            await alice.diary.wait("held", 200)
            await bob.diary.wait("held", 200)
            assert not alice.responses(491) + bob.responses(491)

    run(script)


# -- RFC 4028 ----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asking", ["caller", "callee"])
def test_a_session_is_refreshed_by_update_and_lives_on(asking):
    async def script():
        async with pair(alice_is=timed(3) if asking == "caller" else LAX, bob_is=timed(3) if asking == "callee" else LAX) as (alice, bob):
            await established(alice, bob)
            assert alice.responses(200)[0].headers.get("Session-Expires") == "3;refresher=uac"
            assert "timer" in alice.responses(200)[0].require
            await until(lambda: len(bob.requests("UPDATE")) == 2)
            assert {request.headers.get("Session-Expires") for request in bob.requests("UPDATE")} == {"3;refresher=uac"}
            assert not any(request.body for request in bob.requests("UPDATE"))
            assert len(alice.ua.calls) == len(bob.ua.calls) == 1

    run(script)


def test_without_update_the_refresh_is_a_re_invite():
    async def script():
        async with pair(alice_is=timed(3), bob_is=LAX) as (alice, bob):
            call, _ = await established(alice, bob)
            call.dialog.allowed = frozenset({"INVITE", "BYE"})
            await until(lambda: len(bob.requests("INVITE")) == 2)
            assert not bob.requests("UPDATE")
            assert bob.requests("INVITE")[1].body

    run(script)


def test_refresh_never_is_ended_by_the_other_side():
    """RFC 4028 §10: by BYE, before the interval is over."""

    async def script():
        async with pair(alice_is=timed(1), bob_is=LAX) as (alice, bob):
            alice.ua.misbehave("refresh-never")
            await established(alice, bob)
            await alice.diary.wait("terminated", 200)
            assert alice.requests("BYE")
            assert not bob.requests("UPDATE")

    run(script)


def test_too_short_an_interval_is_422_and_the_call_placed_again_with_the_minimum():
    async def script():
        async with pair(alice_is=timed(2), bob_is={"session": Policy(None, 5)}) as (alice, bob):
            await established(alice, bob)
            (refusal,) = alice.responses(422)
            assert refusal.headers.get("Min-SE") == "5"
            again = bob.requests("INVITE")[-1]
            assert (again.headers.get("Session-Expires"), again.headers.get("Min-SE")) == ("5", "5")
            assert len(bob.diary.calls) == 1

    run(script)


def least(side: Side, seconds: int) -> None:
    """From now on a side takes no shorter session interval."""
    for call in side.ua.calls:
        call.account = replace(side.account, session=Policy(None, seconds))


@pytest.mark.parametrize("method", ["UPDATE", "INVITE"])
def test_a_refresh_with_too_short_an_interval_is_sent_again_with_the_minimum(method):
    """RFC 4028 §7.3, §7.4: and the requests after it say so by themselves."""

    async def script():
        async with pair(alice_is=timed(2), bob_is=LAX) as (alice, bob):
            call, leg = await established(alice, bob)
            if method == "INVITE":
                call.dialog.allowed = frozenset({"INVITE", "BYE"})
            least(bob, 4)
            await until(lambda: alice.responses(422, method) and call.timer.agreement and call.timer.agreement.seconds == 4)
            call.hold(True)
            await alice.diary.wait("held", 200)
            sent = [r for r in bob.requests("INVITE")[1:] + bob.requests("UPDATE") if r.headers.get("Min-SE") == "4"]
            assert {request.headers.get("Session-Expires") for request in sent} == {"4;refresher=uac"}
            assert len(sent) == 2, "the refresh that was sent again, and the hold"
            assert len(alice.responses(422, method)) == 1
            assert leg.timer.agreement
            assert leg.timer.agreement.seconds == 4
            assert not [entry for entry in alice.diary.entries if entry[0] in ("trouble", "terminated")]

    run(script)


def test_a_422_that_asks_for_no_more_than_was_offered_is_not_believed_twice():
    async def script():
        async with pair(alice_is=timed(2), bob_is=LAX) as (alice, bob):
            await established(alice, bob)

            def too_small(transaction: ServerTransaction, request: Request) -> None:
                refusal = respond(request, 422)
                refusal.headers.set("Min-SE", "2")
                transaction.respond(refusal)

            bob.ua.exchange._on_request = too_small
            await alice.diary.wait("trouble", "UPDATE: 422 Session Interval Too Small")
            assert len(bob.requests("UPDATE")) == 1

    run(script)


def test_a_min_se_of_theirs_is_in_our_requests_too():
    """RFC 4028 §7.4: a proxy between us may have put it there."""

    async def script():
        async with pair(alice_is={"session": Policy(200, 150)}) as (alice, bob):
            _, leg = await established(alice, bob)
            leg.update()
            await bob.diary.wait("updated", 200)
            (request,) = alice.requests("UPDATE")
            assert (request.headers.get("Session-Expires"), request.headers.get("Min-SE")) == ("200;refresher=uas", "150")

    run(script)


# -- RFC 6665, RFC 3842 ------------------------------------------------------------------------------------------------------------------


def test_a_mailbox_is_told_at_once_after_a_change_and_at_the_end():
    async def script():
        async with pair() as (alice, bob):
            alice.ua.subscribe(alice.account, bob.account.aor, PACKAGE, 2).start()
            entry = await alice.diary.wait("notified", "active")
            assert "Messages-Waiting: no" in entry[2]
            bob.ua.fill(bob.account, Mailbox(2, 1))
            await until(lambda: any("Voice-Message: 2/1" in str(entry[2]) for entry in alice.diary.entries if entry[0] == "notified"))
            await until(lambda: len(bob.requests("SUBSCRIBE")) == 2)
            alice.ua.subscribe(alice.account, bob.account.aor, PACKAGE, 0).start()
            await alice.diary.wait("notified", "terminated")

    run(script)


@pytest.mark.parametrize(("package", "code"), [("presence", 489), (PACKAGE, 404)])
def test_a_subscription_that_is_refused_is_told_as_terminated(package, code):
    async def script():
        async with pair() as (alice, bob):
            target = bob.account.aor if code == 489 else URI.parse(str(bob.account.aor).replace("bob", "nobody"))
            alice.ua.subscribe(alice.account, target, package, 60).start()
            await alice.diary.wait("notified", "terminated", None)
            assert alice.responses(code, "SUBSCRIBE")
            assert not alice.ua.subscriptions

    run(script)


def test_no_notify_ends_the_subscription_after_timer_n():
    async def script():
        async with pair() as (alice, bob):
            alice.hasten(0.01)
            bob.ua.misbehave("no-notify")
            alice.ua.subscribe(alice.account, bob.account.aor, PACKAGE, 60).start()
            await alice.diary.wait("notified", "terminated", None)
            assert not alice.requests("NOTIFY")

    run(script)


# -- RFC 3891 ----------------------------------------------------------------------------------------------------------------------------


def test_an_attended_transfer_takes_the_place_of_the_call_that_is_named():
    """bob has two calls with alice and is told to replace the second by a new one (RFC 5589 §7)."""

    async def script():
        async with pair() as (alice, bob):
            call, _ = await established(alice, bob)
            named, replaced = await established(bob, alice)
            call.refer(alice.account.aor, named)
            await alice.diary.wait("transfer", "done", 200)
            await until(lambda: named not in bob.ua.calls and replaced not in alice.ua.calls)
            assert len(bob.ua.calls) == len(alice.ua.calls) == 2, "the call that was transferred, and the new one"

    run(script)


def test_bad_replaces_is_481_for_the_one_who_is_transferred():
    async def script():
        async with pair() as (alice, bob):
            alice.ua.misbehave("bad-replaces")
            call, _ = await established(alice, bob)
            named, _ = await established(bob, alice)
            call.refer(alice.account.aor, named)
            await alice.diary.wait("transfer", "failed", 481)

    run(script)


def test_early_only_does_not_take_the_place_of_an_established_call():
    """RFC 3891 §3: 486."""

    async def script():
        async with pair() as (alice, bob):
            call, _ = await established(alice, bob)
            second = alice.ua.call(alice.account, bob.account.aor)
            second.replaces = f"{Replaces.of(call.dialog)};early-only"
            second.place(bob.account.aor, delayed=False)
            await alice.diary.wait("terminated", 486)

    run(script)
