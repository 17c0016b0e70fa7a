"""The agent library for software on an event loop: handlers that wait, and audio that the agent itself has to say and to take."""

from __future__ import annotations

import asyncio
import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "images/shared/agent"))

from agent_process import ACCOUNT, Driver
from siplab_agent import AsyncAgent, PcmAgent, Refused, pcmu_decode, pcmu_encode, sine
from siplab_agent import aio as aio_module


class Waiting(AsyncAgent):
    """Every hook and handler waits for the loop."""

    capabilities = frozenset({"udp", "invite"})

    async def start(self):
        await asyncio.sleep(0)
        self.log = []

    async def version(self):
        return "7"

    async def stop(self):
        await asyncio.sleep(0)
        self.log.append("stopped")

    async def reset(self):
        await asyncio.sleep(0)

    async def account_add(self, account):
        self.registration(account, "failed", code=503)
        await asyncio.sleep(0.05)
        if account.username == "nobody":
            raise Refused("no such user")
        self.log.append(account.id)

    def unregister(self, account):
        self.log.append(f"left {account.id}")

    async def register(self, account, expires):
        await asyncio.sleep(60)


class Silent(Exception):
    """No audio at the moment."""


class Echo(PcmAgent):
    """Software that hears what it says, and has no audio at first."""

    capabilities = frozenset({"udp", "invite"})

    def start(self):
        self.heard = bytearray()
        self.looks = 0

    def reset(self):
        pass

    def account_add(self, account):
        pass

    def call_invite(self, call, target, offer):
        if "deaf" not in target:
            self.talk(call, self.read, self.write, Silent)

    def read(self, most):
        self.looks += 1
        if self.looks < 3:
            raise Silent
        heard, self.heard = bytes(self.heard[:most]), self.heard[most:]
        return heard

    def write(self, pcm):
        fits = min(len(pcm), 400)
        self.heard += pcmu_decode(pcmu_encode(pcm[:fits]))
        return fits


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Driver]:
    with Driver(Waiting, tmp_path) as driver:
        yield driver


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[Driver]:
    with Driver(Echo, tmp_path) as driver:
        yield driver


def test_hooks_and_handlers_may_wait(waiting: Driver) -> None:
    assert waiting.ask("hello")["result"]["version"] == "7"
    assert waiting.ask("account.add", **ACCOUNT)["result"] == {"account": "a1"}
    assert not waiting.events, "an event used the id before the answer that names it"
    waiting.event("registration", account="a1")
    assert waiting.ask("account.add", **{**ACCOUNT, "username": "nobody"})["error"] == {"code": "vendor", "message": "no such user"}
    assert waiting.ask("unregister", account="a2")["error"]["code"] == "unknown-account"
    assert waiting.ask("reset")["result"] == {}
    waiting.close = lambda: None  # type: ignore[method-assign]
    assert waiting.ask("shutdown")["result"] == {}
    waiting.thread.join(5)
    assert waiting.agent.log == ["a1", "stopped"]


def test_a_handler_that_waits_is_not_overtaken(waiting: Driver) -> None:
    waiting.send("account.add", **ACCOUNT)
    waiting.send("unregister", account="a1")
    assert [waiting.answer()["id"] for _ in range(2)] == [1, 2]
    assert waiting.agent.log == ["a1", "left a1"]


def test_a_handler_that_hangs_is_answered_for(waiting: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting.ask("account.add", **ACCOUNT)
    monkeypatch.setattr(aio_module, "ANSWER_WITHIN", 0.05)
    assert waiting.ask("register", account="a1")["error"] == {"code": "vendor", "message": "no answer from the software within 0.05 s"}
    assert waiting.ask("unregister", account="a1")["result"] == {}


def pcm(path: str) -> bytes:
    with wave.open(path) as file:
        return file.readframes(file.getnframes())


def recorded(echo: Driver, call: str) -> dict[str, Any]:
    recording = echo.ask("media.record", call=call, seconds=0.2)["result"]["recording"]
    return dict(echo.event("media.recorded", recording=recording))


def test_it_says_its_tone_without_a_break_and_records(echo: Driver) -> None:
    echo.ask("account.add", **ACCOUNT)
    call = echo.ask("call.invite", account="a1", target="sip:bob@b")["result"]["call"]
    told = recorded(echo, call)
    assert (told["call"], told["seconds"]) == (call, 0.2)
    tone = pcmu_decode(pcmu_encode(sine(440, 8000)))
    assert pcm(told["file"]) in tone, "a jump in the tone, or another one"


def test_another_tone_and_silence(echo: Driver) -> None:
    echo.ask("account.add", **ACCOUNT)
    call = echo.ask("call.invite", account="a1", target="sip:bob@b")["result"]["call"]
    echo.ask("media.play", call=call, tone_hz=0)
    recorded(echo, call)
    assert set(pcm(recorded(echo, call)["file"])) == {0}


def test_no_audio_yet(echo: Driver) -> None:
    echo.ask("account.add", **ACCOUNT)
    call = echo.ask("call.invite", account="a1", target="sip:deaf@b")["result"]["call"]
    assert echo.ask("media.record", call=call, seconds=0.2)["error"]["code"] == "bad-state"
    assert echo.ask("media.play", call=call, tone_hz=0)["error"]["code"] == "bad-state"


def test_the_end_of_a_call_ends_its_recording(echo: Driver) -> None:
    echo.ask("account.add", **ACCOUNT)
    call = echo.ask("call.invite", account="a1", target="sip:bob@b")["result"]["call"]
    recorded(echo, call)
    echo.ask("media.record", call=call, seconds=30)
    echo.event("call.state", call=call)
    echo.agent.after(0.1, lambda: echo.agent.call_state(echo.agent.calls[call], "terminated"))
    assert 0 < echo.event("media.recorded", recording="r2")["seconds"] < 30
