"""The rules of extensions without a clock and a network: reliability, session timers, glare, mailboxes, IPv6 and sips addresses."""

from __future__ import annotations

import pytest
from sipmessage import URI, Request, Response

from lab.sip import reliability, session_timer
from lab.sip.account import Account, policy
from lab.sip.digest import Credentials
from lab.sip.fault import MessageError
from lab.sip.glare import Offers, retry_after
from lab.sip.mwi import Mailbox
from lab.sip.reliability import RAck, ReliableReceiver, ReliableSender
from lab.sip.session_timer import Agreement, Policy, SessionExpires
from lab.sip.subscription import SubscriptionState
from lab.sip.timers import Timing


def response(code: int = 200, **headers: str) -> Response:
    made = Response(code=code, phrase="")
    for name, value in headers.items():
        made.headers.set(name.replace("_", "-"), value)
    return made


def request(**headers: str) -> Request:
    made = Request(method="INVITE", uri=URI.parse("sip:a@b"))
    for name, value in headers.items():
        made.headers.set(name.replace("_", "-"), value)
    return made


# -- RFC 3262 ----------------------------------------------------------------------------------------------------------------------------


def test_a_reliable_response_is_repeated_at_doubling_intervals_for_64_t1():
    sender = ReliableSender(7, Timing(t1=1.0))
    assert sender.send() == 8
    assert [sender.repeat_after() for _ in range(7)] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 1.0]
    assert sender.exhausted


def test_only_the_prack_of_the_response_that_waits_is_taken_and_only_once():
    sender = ReliableSender(0)
    sender.send()
    for wrong in (RAck(2, 5, "INVITE"), RAck(1, 6, "INVITE"), RAck(1, 5, "UPDATE")):
        assert not sender.acknowledge(wrong, 5)
    assert sender.acknowledge(RAck(1, 5, "INVITE"), 5)
    assert not sender.acknowledge(RAck(1, 5, "INVITE"), 5)
    assert sender.send() == 2


def test_a_second_one_before_the_prack_is_a_mistake():
    sender = ReliableSender(0)
    sender.send()
    with pytest.raises(RuntimeError):
        sender.send()


def test_repetitions_and_gaps_are_not_acknowledged():
    receiver = ReliableReceiver()
    assert [receiver.accept(number) for number in (41, 41, 43, 42, 43)] == [True, False, False, True, True]


@pytest.mark.parametrize(
    ("code", "headers", "number"),
    [
        (180, {"Require": "100rel", "RSeq": "12"}, 12),
        (180, {"RSeq": "12"}, None),
        (180, {"Require": "100rel"}, None),
        (180, {"Require": "100rel", "RSeq": "-1"}, None),
        (100, {"Require": "100rel", "RSeq": "12"}, None),
        (200, {"Require": "100rel", "RSeq": "12"}, None),
    ],
)
def test_what_makes_a_response_reliable(code, headers, number):
    assert reliability.number_of(response(code, **headers)) == number


def test_rack_survives_and_nonsense_is_an_error():
    assert RAck.parse(str(RAck(1, 2, "INVITE"))) == RAck(1, 2, "INVITE")
    for wrong in ("", "1 2", "a b INVITE", "1 2 INVITE 3"):
        with pytest.raises(MessageError):
            RAck.parse(wrong)


# -- RFC 4028 ----------------------------------------------------------------------------------------------------------------------------


def test_session_expires_survives_and_nonsense_is_an_error():
    for value in (SessionExpires(90), SessionExpires(1800, "uac"), SessionExpires(1800, "uas")):
        assert SessionExpires.parse(str(value)) == value
    assert SessionExpires.parse("90 ; Refresher = UAS;x=1") == SessionExpires(90, "uas")
    for wrong in ("", "soon", ";refresher=uac"):
        with pytest.raises(MessageError):
            SessionExpires.parse(wrong)


@pytest.mark.parametrize(
    ("headers", "ours", "current", "told"),
    [
        ({}, Policy(), None, None),
        ({"Session-Expires": "100", "Supported": "timer"}, Policy(), None, SessionExpires(100, "uac")),
        ({"x": "100", "Supported": "timer"}, Policy(), None, SessionExpires(100, "uac")),
        ({"Session-Expires": "100;refresher=uas", "Supported": "timer"}, Policy(), None, SessionExpires(100, "uas")),
        ({"Session-Expires": "100"}, Policy(), None, SessionExpires(100, "uas")),
        ({"Supported": "timer"}, Policy(200), None, SessionExpires(200, "uac")),
        ({}, Policy(200), None, SessionExpires(200, "uas")),
        ({"Session-Expires": "500", "Supported": "timer"}, Policy(200), None, SessionExpires(200, "uac")),
        ({"Session-Expires": "500", "Min-SE": "300", "Supported": "timer"}, Policy(200), None, SessionExpires(300, "uac")),
        ({"Supported": "timer"}, Policy(), Agreement(120, True), SessionExpires(120, "uac")),
    ],
)
def test_what_the_callee_says_of_the_timer(headers, ours, current, told):
    """§9, table 2: the requester's choice of a refresher stands; who knows no timers does not refresh."""
    assert session_timer.answer(request(**headers), ours, current) == told


def test_an_interval_below_the_minimum_is_refused():
    assert session_timer.too_short(request(**{"Session-Expires": "89"}), Policy())
    assert not session_timer.too_short(request(**{"Session-Expires": "90"}), Policy())
    assert not session_timer.too_short(request(), Policy())


@pytest.mark.parametrize(
    ("asked", "headers", "agreement"),
    [
        (None, {}, None),
        (SessionExpires(90), {}, Agreement(90, True)),
        (SessionExpires(120), {"Session-Expires": "100;refresher=uac"}, Agreement(100, True)),
        (SessionExpires(120), {"Session-Expires": "100;refresher=uas"}, Agreement(100, False)),
        (None, {"Session-Expires": "100;refresher=uas"}, Agreement(100, False)),
        (SessionExpires(120), {"Session-Expires": "0;refresher=uac"}, Agreement(90, True)),
        (SessionExpires(120), {"Session-Expires": "soon"}, Agreement(120, True)),
    ],
)
def test_what_the_caller_makes_of_the_answer(asked, headers, agreement):
    assert session_timer.agreed(asked, response(**headers), 90) == agreement


def test_refresh_at_half_time_and_bye_a_little_before_the_end():
    """§10."""
    assert (Agreement(1800, True).refresh_after, Agreement(1800, True).over_after) == (900, 1768)
    assert Agreement(90, False).over_after == 60


def test_who_requires_timers_asks_for_one():
    assert policy(frozenset({"timer"}), None, 90) == Policy(1800, 90)
    assert policy(frozenset({"timer"}), 100, 90) == Policy(100, 90)
    assert policy(frozenset(), None, 90) == Policy(None, 90)


# -- glare, mailboxes, subscriptions -----------------------------------------------------------------------------------------------------


def test_an_offer_that_meets_ours_is_491_and_one_that_meets_theirs_is_500():
    """RFC 3261 §14.2, RFC 3311 §5.2."""
    assert Offers().refusal() is None
    assert Offers(ours=True).refusal() == 491
    assert Offers(theirs=True).refusal() == 500


@pytest.mark.parametrize(("owner", "low", "high"), [(True, 2.1, 4.0), (False, 0.0, 2.0)])
def test_the_pause_after_491_is_a_multiple_of_10_ms(owner, low, high):
    """RFC 3261 §14.1."""
    pauses = [retry_after(owner) for _ in range(200)]
    assert all(low <= pause <= high + 1e-9 for pause in pauses)
    assert len({round(pause * 100) for pause in pauses}) > 20


def test_a_mailbox_says_what_waits():
    """RFC 3842 §5.2."""
    assert Mailbox(2, 8).summary("sip:a@b") == b"Messages-Waiting: yes\r\nMessage-Account: sip:a@b\r\nVoice-Message: 2/8 (0/0)\r\n"
    assert Mailbox(0, 8).summary("sip:a@b").startswith(b"Messages-Waiting: no\r\n")


def test_subscription_state_is_read_and_must_be_there():
    assert SubscriptionState.parse("Active;expires=60") == SubscriptionState("active", 60)
    assert SubscriptionState.parse("terminated; reason=timeout") == SubscriptionState("terminated", None)
    assert SubscriptionState.parse("active;expires=" + "9" * 400) == SubscriptionState("active", None)
    with pytest.raises(MessageError):
        SubscriptionState.parse("")


# -- addresses ---------------------------------------------------------------------------------------------------------------------------


def account(aor: str, proxy: str, host: str, transport: str = "tls") -> Account:
    return Account("a1", URI.parse(aor), Credentials("a", "x"), URI.parse(proxy), transport, "rtp", host)


def test_a_sips_account_is_sips_in_contact_and_route():
    """RFC 5630 §3.1.3: and without the deprecated transport=tls."""
    secure = account("sips:a@atlanta.example", "sip:pa.atlanta.example:5061;transport=tls", "198.18.0.1")
    assert str(secure.contact.uri) == "sips:a@198.18.0.1:5061"
    assert str(secure.route.uri) == "sips:pa.atlanta.example:5061;lr"
    plain = account("sip:a@atlanta.example", "sip:pa.atlanta.example:5061;transport=tls", "198.18.0.1")
    assert str(plain.contact.uri) == "sip:a@198.18.0.1:5061;transport=tls"
    assert str(plain.hop) == "sip:pa.atlanta.example:5061;transport=tls"


def test_an_ipv6_contact_has_brackets():
    assert str(account("sip:a@b.example", "sip:p.example", "2001:db8::1", "udp").contact.uri) == "sip:a@[2001:db8::1]:5060"
