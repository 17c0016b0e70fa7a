"""Control commands of servers: what of the manifest is run, and how often."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lab.agents.control import ServerControl
from lab.errors import AgentError, LabError

ALICE, BOB = ("alice", "atlanta.example"), ("bob", "biloxi.example")


class Container:
    """Notes what is run in it."""

    def __init__(self, *flush: str, code: int = 0) -> None:
        self.ran: list[list[str]] = []
        self._code = code
        self.control = ServerControl("pa", {"flush": flush} if flush else {}, self._run)

    def _run(self, argv: Sequence[str]) -> tuple[int, str]:
        self.ran.append(list(argv))
        return self._code, "no such table\n"


@pytest.mark.parametrize(
    ("flush", "ran"),
    [
        (("ctl", "flush", "{user}@{domain}"), ["ctl", "flush", "alice@atlanta.example", "bob@biloxi.example"]),
        (("ctl", "flush", "{user}", "{domain}"), ["ctl", "flush", "alice", "atlanta.example", "bob", "biloxi.example"]),
        (("ctl", "-a{user}", "--now", "{{}}"), ["ctl", "-aalice", "-abob", "--now", "{}"]),
        (("ctl", "flush-all"), ["ctl", "flush-all"]),
    ],
)
def test_one_command_flushes_all_subscribers(flush: tuple[str, ...], ran: list[str]) -> None:
    container = Container(*flush)
    container.control.flush(ALICE, BOB)
    assert container.ran == [ran]


def test_nobody_to_flush_and_no_way_to_are_nothing_to_run() -> None:
    container = Container("ctl", "flush", "{user}")
    container.control.flush()
    Container().control.flush(ALICE)
    assert container.ran == []


def test_a_flush_that_fails_is_the_elements_fault() -> None:
    with pytest.raises(AgentError, match="pa: flush ended with 1: no such table"):
        Container("ctl", "{user}", code=1).control.flush(ALICE)


def test_a_command_that_the_manifest_lacks_is_told_with_those_that_it_has() -> None:
    with pytest.raises(LabError, match="pa: no control command 'behaves'"):
        Container("ctl", "{user}").control.do("behaves")
