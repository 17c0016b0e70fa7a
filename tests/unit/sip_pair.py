"""Two user agents on loopback addresses of their own, and nobody between them: what tests of lab/sip talk with."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from sipmessage import URI, Request, Response

from lab.sip.account import Account
from lab.sip.call import Call
from lab.sip.digest import Credentials
from lab.sip.timers import Timing
from lab.sip.tls import TlsFiles
from lab.sip.user_agent import Settings, UserAgent

WITHIN = 5.0
NOTHING: Mapping[str, Any] = {}


class Diary:
    """A listener that remembers, and waits."""

    def __init__(self) -> None:
        self.entries: list[tuple[Any, ...]] = []
        self.calls: list[Call] = []
        self.pcm = bytearray()
        self._more = asyncio.Event()

    def _note(self, *entry: Any) -> None:
        self.entries.append(entry)
        self._more.set()

    def registration(self, account, state, code, reason, expires, flow=None):
        self._note("registration", state, code, *([flow, reason] if flow else []))

    def incoming(self, call, sender, to):
        self.calls.append(call)
        self._note("incoming", sender, to)

    def state(self, call, state, code, reason):
        self._note(state, code)

    def released(self, call, cause):
        self._note("released", cause)

    def media(self, call, direction, encryption, codec):
        self._note("media", direction, encryption, codec)

    def digit(self, call, digit, via):
        self._note("digit", digit, via)

    def heard(self, call, pcm):
        self.pcm += pcm

    def message(self, sender, body, content_type):
        self._note("message", body)

    def transfer(self, call, state, code, target):
        self._note("transfer", state, code, target)

    def outgoing(self, call, target):
        self._note("outgoing", target)

    def updated(self, call, code):
        self._note("updated", code)

    def notified(self, subscription, state, content_type, body):
        self._note("notified", state, body)

    def trouble(self, what):
        self._note("trouble", what)

    async def wait(self, *start: Any) -> tuple[Any, ...]:
        async def found() -> tuple[Any, ...]:
            while True:
                self._more.clear()
                for entry in self.entries:
                    if entry[: len(start)] == start:
                        return entry
                await self._more.wait()

        try:
            return await asyncio.wait_for(found(), WITHIN)
        except TimeoutError:
            raise AssertionError(f"no {start} in {self.entries}") from None

    async def sound(self) -> bool:
        """Something else than silence is heard, within a second."""
        self.pcm.clear()
        for _ in range(50):
            await asyncio.sleep(0.02)
            if any(self.pcm):
                return True
        return False


def own_net() -> str:
    """The first three bytes of loopback addresses that no other test process has, so that test runs can go side by side."""
    number = os.getpid()
    return f"127.{1 + number // 250 % 250}.{number % 250}"


class Side:
    """A user agent with one account whose proxy is the other one; every message that it receives is kept."""

    def __init__(self, user: str, transport: str, media: str, host: str, other: str, **account: Any) -> None:
        self.diary = Diary()
        self.ua = UserAgent(Settings((host,), (), (40000, 40010), 440, TlsFiles()), self.diary)
        self.heard: list[Request | Response] = []
        receive = self.ua.exchange.receive
        self.ua.exchange.receive = lambda message, flow: (self.heard.append(message), receive(message, flow))[1]  # type: ignore[method-assign]
        there, here = (f"[{name}]" if ":" in name else name for name in (other, host))
        proxy = URI.parse(f"sip:{there}:5060;transport={transport}")
        self.account = Account("a1", URI.parse(f"sip:{user}@{here}"), Credentials(user, "x"), proxy, transport, media, host, **account)
        self.ua.accounts.append(self.account)

    def requests(self, method: str) -> list[Request]:
        """Those received."""
        return [message for message in self.heard if isinstance(message, Request) and message.method == method]

    def responses(self, code: int, method: str = "INVITE") -> list[Response]:
        """Those received."""
        return [m for m in self.heard if isinstance(m, Response) and (m.code, m.cseq.method) == (code, method)]

    def hasten(self, t1: float = 0.05) -> None:
        """Timers ten times as fast."""
        self.ua.exchange.timing = Timing(t1, 8 * t1, 10 * t1)

    def dial(self, other: Side, *, delayed: bool = False) -> Call:
        call = self.ua.call(self.account, other.account.aor)
        call.place(other.account.aor, delayed=delayed)
        return call

    async def answer(self) -> Call:
        await self.diary.wait("incoming")
        call = self.diary.calls[-1]
        call.respond(200)
        return call


@asynccontextmanager
async def pair(
    transport: str = "udp",
    media: str = "rtp",
    other_media: str = "",
    *,
    alice_is: Mapping[str, Any] = NOTHING,
    bob_is: Mapping[str, Any] = NOTHING,
) -> AsyncIterator[tuple[Side, Side]]:
    """alice and bob, started; `alice_is` and `bob_is` are further members of their accounts."""
    net = f"127.{secrets.randbelow(250) + 1}.{secrets.randbelow(250)}"
    one, two = f"{net}.1", f"{net}.2"
    alice, bob = Side("alice", transport, media, one, two, **alice_is), Side("bob", transport, other_media or media, two, one, **bob_is)
    await alice.ua.start()
    await bob.ua.start()
    try:
        yield alice, bob
    finally:
        await alice.ua.close()
        await bob.ua.close()


def run(script: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(script(), 30))  # type: ignore[arg-type]


async def established(alice: Side, bob: Side, *, delayed: bool = False) -> tuple[Call, Call]:
    """A call of alice to bob that both see established: the legs of both."""
    call = alice.dial(bob, delayed=delayed)
    leg = await bob.answer()
    await alice.diary.wait("established")
    await bob.diary.wait("established")
    return call, leg


async def until(condition: Any) -> None:
    """Wait for it, a loop's turn at a time; the deadline is the test's."""
    while not condition():
        await asyncio.sleep(0.01)
