"""What this vendor's agent knows beyond the contract, for those who test others with it: members of `account.add`, and methods."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from siplab_agent import Account, BadParams, BadState, Refused, UnknownAccount, UnknownCall
from sipmessage import URI

from lab.sip import reliability, session_timer
from lab.sip.account import policy
from lab.sip.digest import Credentials
from lab.sip.fault import SipError
from lab.sip.guard import Guard
from lab.sip.misbehaviour import NAMES
from lab.sip.mwi import Mailbox
from lab.sip.raw_channel import RawChannel
from lab.sip.session_timer import LOWEST

if TYPE_CHECKING:
    from .agent import ReferenceAgent

REQUIRABLE = (reliability.TAG, session_timer.TAG)
MAX_RAW = 32 * 1024
"""Bytes of one `raw.send`: what fits a line of the contract in base64."""

Params = Mapping[str, Any]


class Extensions:
    """Reads and does them. `account` are the members of `lab.sip.account.Account` that the `account.add` under way asks for."""

    def __init__(self, agent: ReferenceAgent) -> None:
        self.account: dict[str, Any] = {}
        self.methods: Mapping[str, Callable[[Params], dict[str, Any]]] = {
            "misbehave": self._misbehave,
            "call.update": self._update,
            "mailbox.set": self._mailbox,
            "raw.open": self._open,
            "raw.send": self._send,
        }
        self._agent = agent
        self._channels: dict[str, RawChannel] = {}

    def reset(self) -> None:
        """Forget all channels; the user agent has ended them."""
        self._channels.clear()

    def read_account(self, params: Params) -> None:
        """Members of `account.add`: all that images/reference/README.md lists."""
        tags = frozenset(_names("account.add: require", params.get("require"), REQUIRABLE))
        seconds = _integer("account.add: session_expires", params.get("session_expires"), 1, 86400)
        lowest = _integer("account.add: min_se", params.get("min_se"), 1, 86400) or LOWEST
        for name in _names("account.add: misbehave", params.get("misbehave"), tuple(NAMES)):
            self._agent.ua.misbehave(name)
        hops = _integer("account.add: max_forwards", params.get("max_forwards"), 0, 255)
        self.account = {
            "require": tags,
            "session": policy(tags, seconds, lowest),
            "elsewhere": None if params.get("contact") is None else _uri("account.add: contact", params["contact"]),
            "early_media": _boolean("account.add: early_media", params.get("early_media")),
            "guard": _guard(params),
            "headers": _headers("account.add: headers", params.get("headers")),
            **{name: _boolean(f"account.add: {name}", params.get(name)) for name in ("anonymous", "asserts", "inband")},
            **({} if hops is None else {"max_forwards": hops}),
        }

    def _misbehave(self, params: Params) -> dict[str, Any]:
        """`name`: be wrong in this way until `reset`."""
        for name in _names("misbehave: name", params.get("name") or "", tuple(NAMES)):
            self._agent.ua.misbehave(name)
        return {}

    def _update(self, params: Params) -> dict[str, Any]:
        """`call`: UPDATE with the session as it is. The event `call.updated` brings the code."""
        call = self._agent.calls.get(_text("call.update: call", params.get("call")))
        if call is None:
            raise UnknownCall(f"no call {params['call']!r}")
        if "UPDATE" not in call.native.dialog.allowed:
            raise BadState(f"{call.id}: the other side has not said that it allows UPDATE")
        if call.native.changes.offers.refusal():
            raise BadState(f"{call.id}: an offer waits for its answer (RFC 3311 §5.1)")
        call.native.update()
        return {}

    def _mailbox(self, params: Params) -> dict[str, Any]:
        """`account`, `new`, `old`: what waits in its mailbox; whoever subscribed to it is notified."""
        account: Account | None = self._agent.accounts.get(_text("mailbox.set: account", params.get("account")))
        if account is None:
            raise UnknownAccount(f"no account {params['account']!r}")
        counts = [_integer(f"mailbox.set: {name}", params.get(name), 0, 9999) or 0 for name in ("new", "old")]
        self._agent.ua.fill(account.native, Mailbox(*counts))
        return {}

    # -- raw bytes -------------------------------------------------------------------------------------------------------------

    def _open(self, params: Params) -> dict[str, Any]:
        """`target`, a URI with host, port and transport: a channel, and the address that it sends from."""
        target = _uri("raw.open: target", params.get("target"))
        name = self._agent.new_id("w")

        def received(data: bytes) -> None:
            self._agent.emit("raw.received", raw=name, data=base64.b64encode(data).decode())

        def closed(reason: str) -> None:
            if self._channels.pop(name, None):
                self._agent.emit("raw.closed", raw=name, reason=reason)

        try:
            channel = self._channels[name] = self._agent.ua.raw(target, received, closed)
        except (SipError, OSError) as error:
            raise Refused(f"raw.open: {error}") from error
        host, port = channel.local
        return {"raw": name, "local": f"[{host}]:{port}" if ":" in host else f"{host}:{port}"}

    def _send(self, params: Params) -> dict[str, Any]:
        """`data` in base64, over an open channel (`raw`) or one that is opened for it (`target`)."""
        text = _text("raw.send: data", params.get("data"))
        try:
            data = base64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise BadParams(f"raw.send: data must be base64: {error}") from error
        if len(data) > MAX_RAW:
            raise BadParams(f"raw.send: data must have at most {MAX_RAW} bytes, not {len(data)}")
        opened = self._open(params) if params.get("raw") is None else {"raw": params["raw"]}
        channel = self._channels.get(str(opened["raw"]))
        if channel is None:
            raise BadState(f"raw.send: no open channel {opened['raw']!r}")
        channel.send(data)
        return opened


def _text(where: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise BadParams(f"{where} must be a non-empty string, not {str(value)[:80]!r}")
    return value


def _uri(where: str, value: Any) -> URI:
    try:
        return URI.parse(_text(where, value))
    except ValueError as error:
        raise BadParams(f"{where}: {error}") from error


def _boolean(where: str, value: Any) -> bool:
    if value is not None and not isinstance(value, bool):
        raise BadParams(f"{where} must be true or false, not {str(value)[:80]!r}")
    return bool(value)


def _guard(params: Params) -> Guard | None:
    """Who demands credentials of callers says for which realm, and whose."""
    if params.get("challenge") is None:
        return None
    realm, name, secret = (
        _text(f"account.add: {member}", params.get(member)) for member in ("challenge", "challenge_username", "challenge_password")
    )
    return Guard(realm, Credentials(name, secret))


def _names(where: str, value: Any, known: tuple[str, ...]) -> list[str]:
    """A comma list of names; nothing where there is none."""
    if value is None:
        return []
    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else [value]
    for name in names:
        if name not in known:
            raise BadParams(f"{where} must be of {', '.join(known)}, not {str(name)[:80]!r}")
    return names


def _headers(where: str, value: Any) -> tuple[tuple[str, str], ...]:
    """A list of [name, value]; whatever is in them."""
    pairs = value if value is not None else []
    if not isinstance(pairs, list) or not all(isinstance(pair, list) and [type(part) for part in pair] == [str, str] for pair in pairs):
        raise BadParams(f"{where} must be a list of [name, value], not {str(value)[:80]!r}")
    return tuple((name, content) for name, content in pairs)


def _integer(where: str, value: Any, low: int, high: int) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise BadParams(f"{where} must be an integer from {low} to {high}, not {str(value)[:80]!r}")
    return value
