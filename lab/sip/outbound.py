"""Client-initiated connections (RFC 5626): one registration through each outbound proxy, whose flow is kept alive and formed anew."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
from typing import TYPE_CHECKING

from sipmessage import URI, CSeq, Response

from .fault import SipError
from .flow import Flow
from .message import new_tag

if TYPE_CHECKING:
    from .account import Account
    from .user_agent import UserAgent

PONG_WITHIN = 10.0
"""Seconds that an answer to a keep-alive may take (RFC 5626 §4.4.1); one lost datagram is no end, so over UDP each has PINGS tries."""
PINGS = 2
STREAM_INTERVAL, DATAGRAM_INTERVAL = (95.0, 120.0), (24.0, 29.0)
"""Seconds between keep-alives where the registrar says nothing (RFC 5626 §4.4.1, §4.4.2)."""
BASE_ALONE, BASE_OTHERS, LONGEST = 30.0, 90.0, 1800.0
"""Seconds that the wait before a new flow is made of, without and with another that lives, and its maximum (RFC 5626 §4.5)."""

_BETWEEN = re.compile(r",\s*(?=<)")
"""Of two contacts on one line. sipmessage takes several with quoted parameters, which all of these have, for one."""


class Registration:
    """The flow through one outbound proxy: `reg_id` is its number, from 1."""

    def __init__(self, agent: UserAgent, account: Account, hop: URI, reg_id: int) -> None:
        self.alive = False
        self._agent, self._account, self._hop, self._reg_id = agent, account, hop, reg_id
        self._call_id, self._sequence = new_tag() + new_tag(), 0
        self._failures = 0

    async def keep(self, expires: int, group: Flows) -> None:
        """Register, and from then on keep the flow alive; when it fails, form another for the same number. Ends with its task."""
        while True:
            response = await self._register(expires)
            if response is not None and "outbound" in response.require:
                await self._until_it_fails(response, expires)
            elif response is not None:
                return  # a registrar that does not know flows: nothing to keep (§4.3)
            if "renumber-flows" in self._agent.wrong:
                self._reg_id += group.size
            await asyncio.sleep(self._wait(group))

    async def leave(self) -> None:
        """Take the binding back."""
        await self._register(0)

    async def _register(self, expires: int) -> Response | None:
        """REGISTER; what was answered where it was a 2xx."""
        account, tell = self._account, self._agent.listener.registration
        request = self._agent.out_of_dialog("REGISTER", account, URI(scheme=account.aor.scheme, host=account.aor.host), account.aor)
        request.call_id, request.cseq = self._call_id, CSeq(sequence=self._sequence + 1, method="REGISTER")
        request.route = []
        request.headers.set("Contact", account.flow_binding(expires, self._reg_id))
        request.headers.set("Supported", "outbound, path")
        request.expires = expires
        try:
            response = await self._agent.dispatch.submit(request, account, self._hop)
        except SipError as error:
            self._failures += 1
            self._down(None, str(error))
            return None
        finally:
            self._sequence = request.cseq.sequence
        if response.code >= 300:
            self._failures += 1
            self._down(response.code, response.phrase)
            return None
        self.alive, self._failures = expires > 0, 0
        state, granted = ("registered", self._granted(response, expires)) if expires else ("unregistered", None)
        tell(account, state, response.code, response.phrase, granted, self._reg_id)
        return response

    def _granted(self, response: Response, asked: int) -> int:
        """Seconds that the registrar keeps this binding: its Contact of the 200, else Expires (RFC 3261 §10.2.4)."""
        for contact in (one for line in response.headers.getlist("Contact") for one in _BETWEEN.split(line)):
            told = re.search(r";\s*expires\s*=\s*([0-9]{1,9})\b", contact, re.IGNORECASE)
            if told and re.search(rf";\s*reg-id\s*=\s*{self._reg_id}\b", contact, re.IGNORECASE):
                return int(told[1])
        return response.expires if response.expires is not None else asked

    def _down(self, code: int | None, reason: str) -> None:
        self.alive = False
        self._agent.listener.registration(self._account, "failed", code, reason, None, self._reg_id)

    async def _until_it_fails(self, response: Response, expires: int) -> None:
        """Keep-alives at the times that the registrar asks for (§4.4), and a new REGISTER before the binding ends."""
        try:
            flow = await self._agent.dispatch.flow(self._hop, self._account)
        except SipError as error:
            self._down(None, str(error))
            return
        if "no-keep-alive" in self._agent.wrong:
            await flow.gone.wait()
        low, high = _interval(response, flow)
        clock = asyncio.get_running_loop()
        refresh = clock.time() + self._granted(response, expires) * 0.8
        seen = b""
        while (now := await self._answer(flow)) is not None and now in (seen or now, seen):
            seen = now
            pause = random.uniform(low, high)  # noqa: S311 - so that not all of them come at once
            if clock.time() + pause > refresh:
                renewed = await self._register(expires)
                if renewed is None:
                    return
                refresh = clock.time() + self._granted(renewed, expires) * 0.8
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await flow.gone.wait()
        why = (
            "its connection was closed" if not flow.alive else "no answer to its keep-alives" if now is None else "its address has changed"
        )
        self._down(None, f"flow failed: {why}")

    async def _answer(self, flow: Flow) -> bytes | None:
        """What a keep-alive was answered, None where it was not."""
        for _ in range(1 if flow.reliable else PINGS):
            with contextlib.suppress(TimeoutError):
                if flow.alive:
                    async with asyncio.timeout(PONG_WITHIN):
                        return await flow.ping()
        return None

    def _wait(self, group: Flows) -> float:
        """Seconds until the next try (§4.5): half to all of the base, doubled by each failed registration."""
        base = BASE_OTHERS if group.alive else BASE_ALONE
        longest = min(LONGEST, base * 2.0**self._failures)
        return random.uniform(longest / 2, longest)  # noqa: S311 - not a secret


class Flows:
    """All flows of an account."""

    def __init__(self, agent: UserAgent, account: Account) -> None:
        self._agent = agent
        self._registrations = [Registration(agent, account, hop, number) for number, hop in enumerate(account.flows, 1)]
        self._keepers: list[asyncio.Task[None]] = []

    @property
    def size(self) -> int:
        """How many they are: the highest of their numbers."""
        return len(self._registrations)

    @property
    def alive(self) -> bool:
        """Does one of them live?"""
        return any(each.alive for each in self._registrations)

    def register(self, expires: int) -> None:
        """Register through all of them, or with 0 through none any more."""
        self.let_go()
        work = [each.keep(expires, self) if expires else each.leave() for each in self._registrations]
        self._keepers = [self._agent.spawn(each) for each in work]

    def let_go(self) -> None:
        """Keep none of them alive any more."""
        for keeper in self._keepers:
            keeper.cancel()


def _interval(response: Response, flow: Flow) -> tuple[float, float]:
    """Between which times the next keep-alive is due."""
    told = (response.headers.get("Flow-Timer") or "").strip()
    if told.isdigit() and int(told) > 0:
        return 0.8 * int(told), float(told)
    return STREAM_INTERVAL if flow.reliable else DATAGRAM_INTERVAL
