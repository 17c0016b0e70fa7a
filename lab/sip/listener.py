"""What a user agent tells whoever drives it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .account import Account
    from .call import Call
    from .subscription import Subscription


class Listener(Protocol):
    """All callbacks run on the event loop's thread and must return at once. A code is None where nobody sent one."""

    def registration(
        self, account: Account, state: str, code: int | None, reason: str | None, expires: int | None, flow: int | None = None
    ) -> None:
        """`registered`, `unregistered` or `failed`; of an account that uses flows, which one (RFC 5626 §4.2, reg-id)."""

    def incoming(self, call: Call, sender: str, to: str) -> None:
        """An INVITE that is not refused by our own policy."""

    def state(self, call: Call, state: str, code: int | None, reason: str | None) -> None:
        """`calling`, `ringing`, `established`, `held`, `resumed`, `terminated`."""

    def released(self, call: Call, cause: int) -> None:
        """Why the other side ends or refuses the call, as a cause of ITU-T Q.850; `terminated` follows."""

    def media(self, call: Call, direction: str, encryption: str, codec: str) -> None:
        """Offer and answer are complete."""

    def digit(self, call: Call, digit: str, via: str) -> None:
        """A digit came."""

    def heard(self, call: Call, pcm: bytes) -> None:
        """20 ms of received audio."""

    def message(self, sender: str, body: str, content_type: str) -> None:
        """A MESSAGE came."""

    def transfer(self, call: Call, state: str, code: int | None, target: str | None) -> None:
        """`requested` of us with a target; `accepted`, `done` or `failed` by the one whom we asked."""

    def outgoing(self, call: Call, target: str) -> None:
        """A call that a transfer makes us place."""

    def updated(self, call: Call, code: int) -> None:
        """An UPDATE of ours was answered."""

    def notified(self, subscription: Subscription, state: str, content_type: str | None, body: str | None) -> None:
        """A subscription's new state, as a NOTIFY brought it; `terminated` without a body also where none came."""

    def trouble(self, what: str) -> None:
        """For the log."""
