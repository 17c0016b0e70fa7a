"""Two user agents on loopback addresses of their own, and nobody between them: what tests of lab/sip talk with."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from sipmessage import URI, Request, Response

from lab.sip.account import Account
from lab.sip.call import Call
from lab.sip.digest import Credentials
from lab.sip.exchange import ServerTransaction
from lab.sip.message import respond
from lab.sip.timers import Timing
from lab.sip.tls import TlsFiles
from lab.sip.user_agent import Settings, UserAgent

WITHIN = 5.0
NOTHING: Mapping[str, Any] = {}
RELIABLE: Mapping[str, Any] = {"require": frozenset({"100rel"})}
"""An account that wants reliable provisional responses (RFC 3262)."""
ELSEWHERE = b"v=0\r\no=- 1 1 IN IP4 127.0.0.9\r\ns=-\r\nc=IN IP4 127.0.0.9\r\nt=0 0\r\nm=audio 40900 RTP/AVP 0\r\n"
"""A description of a place where nobody listens."""
Script = Callable[[Request], Iterable[Response] | None]
"""What a side does with a request: sends these responses and nothing else, or leaves it to its user agent where that is None."""


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

    async def wait(self, *start: Any, since: int = 0) -> tuple[Any, ...]:
        """The first entry that begins like this, of those after the first `since`."""

        async def found() -> tuple[Any, ...]:
            while True:
                self._more.clear()
                for entry in self.entries[since:]:
                    if entry[: len(start)] == start:
                        return entry
                await self._more.wait()

        try:
            return await asyncio.wait_for(found(), WITHIN)
        except TimeoutError:
            raise AssertionError(f"no {start} in {self.entries[since:]}") from None

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

    def follow(self, script: Script) -> None:
        """Whatever comes is first shown to the script."""
        usual = self.ua.exchange._on_request

        def requested(transaction: ServerTransaction, request: Request) -> None:
            responses = script(request)
            if responses is None:
                usual(transaction, request)
            for response in responses or ():
                transaction.respond(response)

        self.ua.exchange._on_request = requested

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
    one, two = f"{own_net()}.1", f"{own_net()}.2"
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


async def incoming(alice: Side, bob: Side, *, delayed: bool = False) -> tuple[Call, Call]:
    """A new call of alice to bob that has reached him, and no more than that: the legs of both."""
    known = len(bob.diary.entries)
    call = alice.dial(bob, delayed=delayed)
    await bob.diary.wait("incoming", since=known)
    return call, bob.diary.calls[-1]


async def ringing(alice: Side, bob: Side, *, delayed: bool = False) -> tuple[Call, Call]:
    """A new call of alice to bob whose 180 she has seen: the legs of both."""
    known = len(alice.diary.entries)
    call, leg = await incoming(alice, bob, delayed=delayed)
    leg.respond(180)
    await alice.diary.wait("ringing", 180, since=known)
    return call, leg


async def established(alice: Side, bob: Side, *, delayed: bool = False) -> tuple[Call, Call]:
    """A new call of alice to bob that both see established: the legs of both."""
    known = [(side.diary, len(side.diary.entries)) for side in (alice, bob)]
    call, leg = await incoming(alice, bob, delayed=delayed)
    leg.respond(200)
    for diary, entries in known:
        await diary.wait("established", since=entries)
    return call, leg


def answering(method: str, *codes: int) -> Script:
    """The first requests of this method get these codes, one each; 0 is silence."""
    left = list(codes)

    def script(request: Request) -> list[Response] | None:
        if request.method != method or not left:
            return None
        code = left.pop(0)
        return [respond(request, code, tag="t")] if code else []

    return script


def challenge(request: Request, *realms: str) -> Response:
    """A 401 that asks for credentials in these realms."""
    response = respond(request, 401, tag="t")
    response.headers.setlist("WWW-Authenticate", [f'Digest realm="{realm}", nonce="n"' for realm in realms])
    return response


async def until(condition: Any) -> None:
    """Wait for it, a loop's turn at a time; the deadline is the test's."""
    while not condition():
        await asyncio.sleep(0.01)
