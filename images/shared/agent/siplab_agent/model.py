"""Accounts and calls as the library keeps them; a vendor hangs its own handle on `native`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .faults import BadState


@dataclass(eq=False)
class Account:
    """What `account.add` asked for, validated."""

    id: str
    aor: str
    username: str
    password: str
    proxy: str
    transport: str
    media: str
    family: int
    expires: int
    ice: bool = False
    stun: str | None = None
    turn: str | None = None
    turn_username: str | None = None
    turn_password: str | None = None
    outbound: bool = False
    proxies: list[str] | None = None
    q: float | None = None
    inband: bool = False
    native: Any = None

    @property
    def hops(self) -> list[str]:
        """The outbound proxies that it registers through, a flow each (RFC 5626 §4.2); without `proxies` its proxy."""
        return self.proxies or [self.proxy]

    @property
    def user(self) -> str:
        """User part of the address of record."""
        return self.aor.split(":", 1)[1].rpartition("@")[0]

    @property
    def domain(self) -> str:
        """Host part of the address of record, without parameters."""
        return self.aor.split(":", 1)[1].rpartition("@")[2].split(";")[0]


@dataclass(eq=False)
class Call:
    """A call leg. `state` is the last one told: new, calling, incoming, ringing, established, held (local or remote), terminated."""

    id: str
    account: Account
    incoming: bool
    target: str = ""
    state: str = "new"
    code: int | None = None
    native: Any = None
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def live(self) -> bool:
        """Not terminated yet."""
        return self.state != "terminated"

    @property
    def answered(self) -> bool:
        """Established, held or resumed."""
        return self.state in ("established", "held", "resumed")

    @property
    def pending(self) -> bool:
        """Neither answered nor terminated."""
        return self.state in ("new", "calling", "incoming", "ringing")


def expect(call: Call, possible: bool, what: str) -> None:
    """BadState where `what` is not possible in the call's state; in a call that is being ended (`extra["closing"]`) nothing is."""
    if not possible or call.extra.get("closing"):
        side = "incoming" if call.incoming else "outgoing"
        raise BadState(f"cannot {what} {call.id}: it is an {side} call in state {'closing' if call.extra.get('closing') else call.state}")
