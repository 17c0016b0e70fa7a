"""The contract as data: methods, their parameters, and which values need which capability.

Validation happens here once, so that every vendor answers `bad-params`, `unknown-*` and `unsupported` in the same way and a
handler only ever sees values of the right type.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .faults import BadParams, Unsupported

VERSION = 1
MAX_LINE = 64 * 1024
MAX_FLOWS = 4

Check = Callable[[Any], "str | None"]
"""Returns what is wrong with a value ("must be …"), or None."""


def text(value: Any) -> str | None:
    """A string, possibly empty."""
    return None if isinstance(value, str) else "must be a string"


def identifier(value: Any) -> str | None:
    """A non-empty string."""
    return None if isinstance(value, str) and value else "must be a non-empty string"


def uri(value: Any) -> str | None:
    """A sip:, sips: or tel: URI without white space or line breaks, which would allow to inject headers."""
    if isinstance(value, str) and re.fullmatch(r"(sips?|tel):[^\s<>\"]+", value):
        return None
    return "must be a sip:, sips: or tel: URI"


def uris(value: Any) -> str | None:
    """One to MAX_FLOWS different URIs."""
    fits = isinstance(value, list) and 0 < len(value) <= MAX_FLOWS and not any(map(uri, value)) and len(set(value)) == len(value)
    return None if fits else f"must be a list of 1 to {MAX_FLOWS} different sip: URIs"


def stun(value: Any) -> str | None:
    """Where a STUN server is: stun:host:port."""
    fits = isinstance(value, str) and re.fullmatch(r"stun:[^\s<>\"?;]+:[0-9]{1,5}", value)
    return None if fits else "must be a URI like stun:host:port"


def turn(value: Any) -> str | None:
    """Where a TURN server is, and over what: turn:host:port;transport=udp, tcp or tls."""
    fits = isinstance(value, str) and re.fullmatch(r"turn:[^\s<>\"?;]+:[0-9]{1,5};transport=(udp|tcp|tls)", value)
    return None if fits else "must be a URI like turn:host:port;transport=udp"


def boolean(value: Any) -> str | None:
    """true or false; 0 and 1 are none."""
    return None if isinstance(value, bool) else "must be true or false"


def line(value: Any) -> str | None:
    """A string without control characters (it ends up in a header)."""
    if isinstance(value, str) and not re.search(r"[\x00-\x1f\x7f]", value):
        return None
    return "must be a string without control characters"


def digits(value: Any) -> str | None:
    """1 to 32 DTMF digits."""
    return None if isinstance(value, str) and re.fullmatch(r"[0-9*#A-D]{1,32}", value) else "must be 1 to 32 of 0-9*#A-D"


def integer(low: int, high: int) -> Check:
    """An integer in [low, high]; true and 1.0 are none."""

    def check(value: Any) -> str | None:
        ok = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        return None if ok else f"must be an integer from {low} to {high}"

    return check


def number(low: float, high: float) -> Check:
    """An integer or float in [low, high]."""

    def check(value: Any) -> str | None:
        ok = isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high
        return None if ok else f"must be a number from {low} to {high}"

    return check


def one_of(*names: Any) -> Check:
    """One of the values named."""

    def check(value: Any) -> str | None:
        ok = not isinstance(value, bool) and value in names
        return None if ok else "must be one of " + ", ".join(str(name) for name in names)

    return check


def reject_code(value: Any) -> str | None:
    """A final error response: 300–699 but not 3xx, that is 400–699."""
    return integer(400, 699)(value)


@dataclass(frozen=True)
class Param:
    """One parameter: its check and, where it may be left out, its default."""

    check: Check
    required: bool = True
    default: Any = None


def optional(check: Check, default: Any = None) -> Param:
    """A parameter that may be absent or null."""
    return Param(check, required=False, default=default)


_ACCOUNT = Param(identifier)
_CALL = Param(identifier)

METHODS: Mapping[str, Mapping[str, Param]] = {
    "hello": {},
    "account.add": {
        "aor": Param(uri),
        "username": Param(line),
        "password": Param(line),
        "proxy": Param(uri),
        "transport": Param(one_of("udp", "tcp", "tls")),
        "media": Param(one_of("rtp", "sdes", "dtls", "zrtp")),
        "family": optional(one_of(4, 6), 4),
        "expires": optional(integer(1, 86400), 300),
        "ice": optional(boolean, False),
        "stun": optional(stun),
        "turn": optional(turn),
        "turn_username": optional(line),
        "turn_password": optional(line),
        "outbound": optional(boolean, False),
        "proxies": optional(uris),
        "q": optional(number(0, 1)),
        "inband": optional(boolean, False),
    },
    "account.remove": {"account": _ACCOUNT},
    "register": {"account": _ACCOUNT, "expires": optional(integer(1, 86400))},
    "unregister": {"account": _ACCOUNT},
    "call.invite": {"account": _ACCOUNT, "target": Param(uri), "offer": optional(one_of("early", "delayed"), "early")},
    "call.ring": {"call": _CALL},
    "call.answer": {"call": _CALL},
    "call.reject": {"call": _CALL, "code": Param(reject_code), "reason": optional(line)},
    "call.redirect": {"call": _CALL, "contact": Param(uri)},
    "call.cancel": {"call": _CALL},
    "call.bye": {"call": _CALL},
    "call.hold": {"call": _CALL},
    "call.resume": {"call": _CALL},
    "call.refer": {"call": _CALL, "target": Param(uri), "replaces": optional(identifier)},
    "call.dtmf": {"call": _CALL, "digits": Param(digits), "via": optional(one_of("rfc4733", "info"), "rfc4733")},
    "message.send": {
        "account": _ACCOUNT,
        "target": Param(uri),
        "body": Param(text),
        "content_type": optional(line, "text/plain"),
    },
    "subscribe": {"account": _ACCOUNT, "target": Param(uri), "package": Param(line), "expires": optional(integer(0, 86400), 300)},
    "media.play": {"call": _CALL, "tone_hz": Param(integer(0, 3800))},
    "media.record": {"call": _CALL, "seconds": Param(number(0.2, 30))},
    "stats": {"call": optional(identifier)},
    "reset": {},
    "shutdown": {},
}

NEEDS: Mapping[tuple[str, str, Any], str] = {
    ("account.add", "transport", "udp"): "udp",
    ("account.add", "transport", "tcp"): "tcp",
    ("account.add", "transport", "tls"): "tls",
    ("account.add", "media", "sdes"): "srtp-sdes",
    ("account.add", "media", "dtls"): "srtp-dtls",
    ("account.add", "media", "zrtp"): "zrtp",
    ("account.add", "family", 6): "ipv6",
    ("account.add", "ice", True): "ice",
    ("account.add", "outbound", True): "outbound",
    ("account.add", "inband", True): "dtmf-inband",
    ("call.invite", "offer", "delayed"): "delayed-offer",
    ("call.dtmf", "via", "rfc4733"): "dtmf-rfc4733",
    ("call.dtmf", "via", "info"): "dtmf-info",
}
"""Values that are `unsupported` where the agent does not declare the capability."""


def validate(method: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of `method` with defaults filled in and unknown members dropped; BadParams names the member."""
    values: dict[str, Any] = {}
    for name, param in METHODS[method].items():
        value = params.get(name)
        if value is None:
            if param.required:
                raise BadParams(f"{method}: {name} is missing")
            values[name] = param.default
            continue
        wrong = param.check(value)
        if wrong:
            raise BadParams(f"{method}: {name} {wrong}, not {str(value)[:80]!r}")
        values[name] = value
    return values


def require(method: str, values: Mapping[str, Any], capabilities: frozenset[str]) -> None:
    """Unsupported where a value needs a capability that is not declared."""
    needed = [NEEDS[key] for key in ((method, name, value) for name, value in values.items()) if _hashable(key) and key in NEEDS]
    if method == "account.add" and values["aor"].startswith("sips:"):
        needed.append("sips")
    if method == "account.add":
        needed += [name for name in ("stun", "turn") if values[name]]
        needed += [] if values["q"] is None else ["q-value"]
        needed += ["outbound-flows"] if values["proxies"] else []
    if method == "call.reject" and values["code"] != 486:
        needed.append("reject-any")
    if method == "call.refer" and values["replaces"]:
        needed.append("refer-replaces")
    for name in needed:
        if name not in capabilities:
            raise Unsupported(f"{method}: this software has no {name}")


def _hashable(key: tuple[Any, ...]) -> bool:
    return all(isinstance(part, (str, int, float, type(None))) for part in key)
