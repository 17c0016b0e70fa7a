"""The telephone network in a scenario's hand, over a channel of the test's own."""

from __future__ import annotations

from typing import Any

import pytest

from lab.agents.call import Ears
from lab.agents.events import Event, EventLog
from lab.agents.step import StepFailed
from lab.agents.trunk import Trunk

EARS = Ears(
    fetch=lambda element, path: b"",
    judge=lambda wav, hz, seconds: (True, ""),
    holds=lambda wav, hz: (False, ""),
    mix=lambda wav, tones, own, seconds: (True, ""),
    keep=lambda element, name, data: None,
)


class Client:
    """Remembers what it is asked for."""

    element = "trunk"

    def __init__(self) -> None:
        self.events = EventLog()
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def request(self, method: str, **params: Any) -> dict[str, Any]:
        self.asked.append((method, params))
        return {"account": "a1", "call": "c1"}

    def reset(self) -> None:
        self.asked.append(("reset", {}))

    def tell(self, name: str, **data: Any) -> None:
        self.events.append(Event(name, data, 0.0))


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def trunk(client: Client) -> Trunk:
    return Trunk(client, "198.18.1.61", "sip:198.18.1.60:5060;transport=udp", 440, EARS)  # type: ignore[arg-type]


def test_a_call_into_the_gateway_names_both_numbers(trunk: Trunk, client: Client) -> None:
    call = trunk.call("+49401", "+49301", restricted=True)
    (_, account), (method, invite) = client.asked
    assert (account["aor"], account["proxy"]) == ("sip:+49301@198.18.1.61", "sip:198.18.1.60:5060;transport=udp")
    assert (account["asserts"], account["anonymous"], account["inband"]) == (True, True, False)
    assert (method, invite) == ("call.invite", {"account": "a1", "target": "sip:+49401@198.18.1.60"})
    assert call.element == trunk.name == "trunk"


def test_a_call_to_another_number_is_not_the_one(trunk: Trunk, client: Client) -> None:
    client.tell("call.incoming", call="c1", account="+49301", **{"from": "sip:+49401@x"})
    client.tell("call.incoming", call="c2", account="+49302")
    call = trunk.expect_call("+49301")
    assert (call.id, call.remote) == ("c1", "sip:+49401@x")
    with pytest.raises(StepFailed, match=r"the call is to \+49302, not \+49301"):
        trunk.expect_call("+49301")
    with pytest.raises(StepFailed, match=r"no call within 0\.01 s"):
        trunk.expect_call("+49301", within=0.01)
    client.tell("fault", what="it broke")
    with pytest.raises(StepFailed, match="the element failed: it broke"):
        trunk.expect_call("+49301")


def test_causes_as_the_gateway_told_them(trunk: Trunk, client: Client) -> None:
    call = trunk.call("+49401", "+49301")
    assert trunk.released(call, 17, within=0.01).what == "not released, should be 17"
    client.tell("call.released", call="c1", cause=17)
    client.tell("call.state", call="c1", state="terminated", code=486)
    assert trunk.released(call, 17)
    assert trunk.released(call, 1).what == "released with cause 17, should be 1"
    trunk.reset()
    client.tell("call.state", call="c1", state="terminated", code=486)
    assert trunk.released(call, 17).what == "released without a cause, should be 17"
    trunk.misbehave("no-digits")
    assert client.asked[-1] == ("misbehave", {"name": "no-digits"})


def test_digits_of_the_whole_call(trunk: Trunk, client: Client) -> None:
    call = trunk.call("+49401", "+49301")
    for digit in "551":
        client.tell("call.dtmf", call="c1", digit=digit)
    assert call.no_other_digits("551")
    assert call.no_other_digits("51").what == "received digits '551' in all, wanted '51'"
