"""Session timers (RFC 4028): who refreshes, how often, and when a session that nobody refreshed is over."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass

from sipmessage import Request, Response

from .fault import MessageError

TAG = "timer"
"""The option tag (RFC 4028 §3)."""
LOWEST = 90
"""Seconds: Min-SE where none is given (§5)."""
USUAL = 1800
"""Seconds: the interval that §4 recommends."""
_VALUE = re.compile(r"\s*(\d{1,9})\s*((?:;[^;]*)*)")
_REFRESHER = re.compile(r";\s*refresher\s*=\s*(uac|uas)\s*(?:;|$)", re.IGNORECASE)


@dataclass(frozen=True)
class SessionExpires:
    """A Session-Expires header: seconds, and who of this transaction's two sides refreshes: `uac`, `uas` or "" for not said yet."""

    seconds: int
    refresher: str = ""

    @classmethod
    def parse(cls, text: str) -> SessionExpires:
        """MessageError where it is no number of seconds."""
        match = _VALUE.fullmatch(text)
        if not match:
            raise MessageError(f"no Session-Expires: {text[:60]!r}")
        refresher = _REFRESHER.search(match[2])
        return cls(int(match[1]), refresher[1].lower() if refresher else "")

    def __str__(self) -> str:
        return f"{self.seconds};refresher={self.refresher}" if self.refresher else str(self.seconds)


def of(message: Request | Response) -> SessionExpires | None:
    """The Session-Expires of a message, or its compact form `x`. MessageError where it is broken."""
    text = message.headers.get("Session-Expires") or message.headers.get("x")
    return SessionExpires.parse(text) if text else None


def lowest_of(message: Request | Response) -> int:
    """The Min-SE of a message."""
    match = re.match(r"\s*(\d{1,9})", message.headers.get("Min-SE") or "")
    return int(match[1]) if match else LOWEST


@dataclass(frozen=True)
class Policy:
    """What an account wants: `seconds` to ask for (None: nothing by itself), and the least that it accepts."""

    seconds: int | None = None
    lowest: int = LOWEST


@dataclass(frozen=True)
class Agreement:
    """A running timer, seen from one side."""

    seconds: int
    ours: bool
    """We refresh."""

    @property
    def refresh_after(self) -> float:
        """Half the interval (§7.2)."""
        return self.seconds / 2

    @property
    def over_after(self) -> float:
        """Who has waited in vain sends BYE a little before the interval is over (§10)."""
        return self.seconds - min(32.0, self.seconds / 3)


def answer(request: Request, policy: Policy, current: Agreement | None = None) -> SessionExpires | None:
    """What a 2xx to `request` says; None for no timer. Too short an interval was refused before (`too_short`), and none is made longer.

    Who refreshes is the requester's choice; where he has none it is he if he knows timers, else we (§9 table 2).
    """
    asked = of(request)
    able = TAG in request.supported or TAG in request.require
    if asked is None and policy.seconds is None and current is None:
        return None
    own = policy.seconds or (asked or current or SessionExpires(USUAL)).seconds
    seconds = max(own, lowest_of(request), policy.lowest)
    if asked:
        seconds = min(seconds, asked.seconds)
    refresher = (asked.refresher if asked else "") or ("uac" if able else "uas")
    return SessionExpires(seconds, refresher if able else "uas")


def too_short(request: Request, policy: Policy) -> bool:
    """Must be refused with 422 and our Min-SE (§9)."""
    asked = of(request)
    return asked is not None and asked.seconds < policy.lowest


def agreed(asked: SessionExpires | None, response: Response, lowest: int) -> Agreement | None:
    """What the requester takes from a 2xx: where it says nothing the other side knows no timer, and who asked refreshes alone (§7.2).

    An interval below `lowest`, which nobody may answer, counts as `lowest`, a broken header as none: the call is established all the same.
    """
    try:
        told = of(response)
    except MessageError:
        told = None
    if told is None:
        return Agreement(asked.seconds, ours=True) if asked else None
    return Agreement(max(told.seconds, lowest), ours=told.refresher != "uas")


class SessionTimer:
    """An agreement on a clock. `refresh` and `expire` are called; every agreement starts it anew."""

    def __init__(self, refresh: Callable[[], None], expire: Callable[[], None]) -> None:
        self.agreement: Agreement | None = None
        self._refresh, self._expire = refresh, expire
        self._handles: list[asyncio.TimerHandle] = []

    def start(self, agreement: Agreement | None) -> None:
        """From now on like this; None ends it."""
        self.stop()
        self.agreement = agreement
        if agreement:
            loop = asyncio.get_running_loop()
            if agreement.ours:
                self._handles.append(loop.call_later(agreement.refresh_after, self._refresh))
            self._handles.append(loop.call_later(agreement.over_after, self._expire))

    def stop(self) -> None:
        """No timer."""
        for handle in self._handles:
            handle.cancel()
        self._handles.clear()
        self.agreement = None
