"""Transactions as scripts of events: RFC 3261 §17 and RFC 6026, without a clock."""

import pytest

from lab.sip.timers import Timing
from lab.sip.transaction import End, InviteClient, InviteServer, Pass, RequestClient, RequestServer, Send, Start, Stop, TimedOut

T = Timing()


def test_an_invite_over_udp_is_repeated_at_doubling_intervals_until_timer_b():
    client = InviteClient(reliable=False)
    assert client.begin() == [Send("request"), Start("A", 0.5), Start("B", 32.0)]
    assert [client.timer("A") for _ in range(3)] == [[Send("request"), Start("A", after)] for after in (1.0, 2.0, 4.0)]
    assert client.timer("B") == [TimedOut(), End()]
    assert client.timer("A") == []


def test_a_provisional_response_ends_the_repetition():
    client = InviteClient(reliable=False)
    client.begin()
    assert client.response(100) == [Stop("A"), Stop("B"), Pass()]
    assert client.timer("A") == client.timer("B") == []
    assert client.response(180)[-1] == Pass()


def test_a_refusal_is_acknowledged_every_time_and_passed_once():
    client = InviteClient(reliable=False)
    client.begin()
    assert client.response(486) == [Stop("A"), Stop("B"), Send("ack"), Pass(), Start("D", 32.0)]
    assert client.response(486) == [Send("ack")]
    assert client.response(200) == []
    assert client.timer("D") == [End()]


def test_a_reliable_transport_needs_neither_a_nor_d():
    client = InviteClient(reliable=True)
    assert client.begin() == [Send("request"), Start("B", 32.0)]
    assert client.response(603)[-1] == End()


def test_every_2xx_reaches_the_user_until_timer_m():
    """RFC 6026 §7.2."""
    client = InviteClient(reliable=False)
    client.begin()
    assert client.response(200) == [Stop("A"), Stop("B"), Pass(), Start("M", 32.0)]
    assert client.response(200) == [Pass()]
    assert client.response(486) == []
    assert client.timer("M") == [End()]


def test_another_request_backs_off_to_t2():
    client = RequestClient(reliable=False)
    client.begin()
    assert [client.timer("E")[1] for _ in range(5)] == [Start("E", after) for after in (1.0, 2.0, 4.0, 4.0, 4.0)]
    assert client.response(100) == [Pass()]
    assert client.timer("E")[1] == Start("E", T.t2)
    assert client.response(200) == [Stop("E"), Stop("F"), Pass(), Start("K", T.t4)]
    assert client.response(200) == []
    assert client.timer("K") == [End()]


def test_another_request_times_out_by_timer_f_even_after_a_100():
    client = RequestClient(reliable=True)
    assert client.begin() == [Send("request"), Start("F", 32.0)]
    client.response(100)
    assert client.timer("F") == [TimedOut(), End()]


def test_a_refusal_is_repeated_until_its_ack():
    server = InviteServer(reliable=False)
    assert server.begin() == [Pass()]
    assert server.request() == []
    assert server.respond(100) == [Send("response")]
    assert server.request() == [Send("response")]
    assert server.respond(486) == [Send("response"), Start("G", 0.5), Start("H", 32.0)]
    assert [server.timer("G")[1] for _ in range(4)] == [Start("G", after) for after in (1.0, 2.0, 4.0, 4.0)]
    assert server.ack() == [Stop("G"), Stop("H"), Start("I", T.t4)]
    assert server.request() == []
    assert server.timer("I") == [End()]


def test_a_refusal_without_ack_ends_by_timer_h():
    server = InviteServer(reliable=True)
    server.respond(487)
    assert server.timer("G") == [Send("response"), Start("G", 1.0)]
    assert server.timer("H") == [TimedOut(), End()]


def test_an_accepted_invite_absorbs_repetitions_and_passes_the_users_2xx():
    """RFC 6026 §7.1: the transaction stays, so that a repeated INVITE makes no second call."""
    server = InviteServer(reliable=False)
    assert server.respond(200) == [Send("response"), Start("L", 32.0)]
    assert server.request() == []
    assert server.respond(200) == [Send("response")]
    assert server.respond(486) == []
    assert server.ack() == [Pass()]
    assert server.timer("L") == [End()]


@pytest.mark.parametrize(("reliable", "last"), [(False, Start("J", 32.0)), (True, End())])
def test_another_request_is_answered_again_until_timer_j(reliable, last):
    server = RequestServer(reliable)
    assert server.request() == []
    assert server.respond(200) == [Send("response"), last]
    assert server.respond(500) == []
    if not reliable:
        assert server.request() == [Send("response")]
