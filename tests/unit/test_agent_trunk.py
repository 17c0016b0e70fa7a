"""The telephone network's agent: what its numbers do, and calls into the gateway, on loopback addresses of its own."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sip_pair import Diary, Side, own_net
from sipmessage import URI

IMAGES = Path(__file__).parents[2] / "images"
sys.path[:0] = [str(IMAGES / "shared" / "agent"), str(IMAGES / "reference")]

from siplab_agent import BadParams  # noqa: E402
from siplab_reference.extensions import Extensions  # noqa: E402
from siplab_reference.trunk import NOBODY, Network, Number, NumbersReporter, TrunkAgent  # noqa: E402

from lab.sip.cause import cause_of  # noqa: E402
from lab.sip.tls import TlsFiles  # noqa: E402
from lab.sip.user_agent import Settings  # noqa: E402

HOST, GATEWAY = f"{own_net()}.21", f"{own_net()}.22"
NUMBERS = {
    "+49301": Number("answer", 16, 500, 3, "rfc4733"),
    "+49303": Number("ring", 16, 500, 3, "rfc4733"),
    "+49304": Number("ringback", 16, 500, 3, "inband"),
    "+49305": Number("announcement", 1, 404, 0.2, "rfc4733"),
    "+493117": Number("release", 17, 486, 3, "rfc4733"),
}


class Behaving(Diary):
    """A listener that does what the agent does with a call to a number."""

    def incoming(self, call: Any, sender: str, to: str) -> None:
        super().incoming(call, sender, to)
        agent: Any = SimpleNamespace(_release=TrunkAgent._release, after=asyncio.get_running_loop().call_later)
        TrunkAgent.behave(agent, call, NUMBERS.get(call.account.name, NOBODY))


def called(number: str, *expected: tuple[Any, ...]) -> Side:
    """The gateway's side of a call to `number`, once all of `expected` has come."""

    async def script() -> Side:
        network = Network(Settings((HOST,), (), (40000, 40010), 440, TlsFiles()), Behaving())
        network.numbers, network.host = NUMBERS, HOST
        gateway = Side("gw", "udp", "rtp", GATEWAY, HOST)
        await network.start()
        await gateway.ua.start()
        try:
            target = URI.parse(f"sip:{number}@{HOST}")
            gateway.ua.call(gateway.account, target).place(target, delayed=False)
            for entry in expected:
                await gateway.diary.wait(*entry)
        finally:
            await network.close()
            await gateway.ua.close()
        return gateway

    return asyncio.run(asyncio.wait_for(script(), 20))


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("+49301", [("ringing", 180), ("established", 200)]),
        ("+49303", [("ringing", 180)]),
        ("+49304", [("ringing", 183)]),
        ("+49305", [("ringing", 183), ("released", 1), ("terminated", 404)]),
        ("+493117", [("released", 17), ("terminated", 486)]),
        ("+49999", [("released", 1), ("terminated", 404)]),
    ],
)
def test_a_number_does_what_it_is_for(number, expected):
    called(number, *expected)


def test_sound_begins_before_the_answer_and_causes_are_in_the_response():
    (progress,) = called("+49304", ("ringing", 183)).responses(183)
    assert progress.body.startswith(b"v=0")
    assert b"telephone-event" not in progress.body
    (refusal,) = called("+493117", ("terminated", 486)).responses(486)
    assert cause_of(refusal) == 17


def test_a_call_that_is_over_is_not_released():
    said: list[Any] = []
    call: Any = SimpleNamespace(state="terminated", respond=lambda *what, **more: said.append(what))
    TrunkAgent._release(call, NUMBERS["+493117"])
    assert not said


class OfNumber:
    """As much of a call as the reporter uses."""

    def __init__(self, number: str) -> None:
        self.account = SimpleNamespace(name=number)


def test_the_reporter_names_the_number_that_was_called():
    class Fake(TrunkAgent):
        def __init__(self) -> None:
            self.numbers, self.seen = NUMBERS, []

        def incoming(self, account: Any, sender: str, to: Any = None, **more: Any) -> Any:
            return SimpleNamespace(id="c1", account=account, sender=sender)

        def behave(self, call: Any, number: Number) -> None:
            self.seen.append(number.behaviour)

    agent = Fake()
    reporter = NumbersReporter(agent)
    for number in ("+49301", "+49999"):
        reporter.incoming(OfNumber(number), "sip:+49401@x", f"sip:{number}@y")  # type: ignore[arg-type]
    assert [call.account.id for call in reporter._calls.values()] == ["+49301", "+49999"]
    assert agent.seen == ["answer", "release"]


@pytest.mark.parametrize("wrong", ["x", [["a"]], [["a", 1]], [{"a": "b"}]])
def test_headers_are_pairs_of_text(wrong):
    extensions = Extensions(SimpleNamespace(ua=None))  # type: ignore[arg-type]
    with pytest.raises(BadParams, match="headers must be a list"):
        extensions.read_account({"headers": wrong})
    with pytest.raises(BadParams, match="anonymous must be true or false"):
        extensions.read_account({"anonymous": "yes"})
    extensions.read_account({"headers": [["X ", "\r\n y"]], "anonymous": True})
    read = {name: extensions.account[name] for name in ("anonymous", "asserts", "inband", "headers")}
    assert read == {"anonymous": True, "asserts": False, "inband": False, "headers": (("X ", "\r\n y"),)}
