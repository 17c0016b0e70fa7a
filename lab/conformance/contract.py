"""The agent contract, version 1, as data: what the schema is made of and what lines and requests are checked against.

A test holds these tables against docs/reference/agent-contract.md, which is the contract, and against the agent library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab.spec.capability import CONTRACT_CAPABILITIES

VERSION = 1
MAX_LINE = 64 * 1024
"""Bytes of one line, its end not counted."""

MAX_FLOWS = 4
"""Outbound proxies of an account: RFC 5626 §4.2 recommends two, and no more than four."""

Schema = dict[str, Any]


@dataclass(frozen=True)
class Member:
    """One member of a request, a result or an event: its JSON Schema, and what stands for it where it may be left out."""

    schema: Schema
    required: bool = True
    default: Any = None


Members = Mapping[str, Member]


def optional(schema: Schema, default: Any = None) -> Member:
    """A member that may be absent or null."""
    return Member(schema, required=False, default=default)


TEXT: Schema = {"type": "string"}
ID: Schema = {"type": "string", "minLength": 1}
URI: Schema = {"type": "string", "pattern": r'^(sips?|tel):[^\s<>"]+$'}
STUN: Schema = {"type": "string", "pattern": r'^stun:[^\s<>"?;]+:[0-9]{1,5}$'}
TURN: Schema = {"type": "string", "pattern": r'^turn:[^\s<>"?;]+:[0-9]{1,5};transport=(udp|tcp|tls)$'}
LINE: Schema = {"type": "string", "pattern": r"^[^\u0000-\u001f\u007f]*$"}
BASE64: Schema = {"type": "string", "pattern": "^[A-Za-z0-9+/]*={0,2}$"}
BOOLEAN: Schema = {"type": "boolean"}
NUMBER: Schema = {"type": "number"}
STATUS: Schema = {"type": "integer", "minimum": 100, "maximum": 699}


def integer(low: int, high: int) -> Schema:
    """An integer from `low` to `high`, both included."""
    return {"type": "integer", "minimum": low, "maximum": high}


def enum(*values: Any) -> Schema:
    """One of these values."""
    return {"enum": list(values)}


_ACCOUNT, _CALL = {"account": Member(ID)}, {"call": Member(ID)}

METHODS: Mapping[str, Members] = {
    "hello": {},
    "account.add": {
        "aor": Member(URI),
        "username": Member(LINE),
        "password": Member(LINE),
        "proxy": Member(URI),
        "transport": Member(enum("udp", "tcp", "tls")),
        "media": Member(enum("rtp", "sdes", "dtls", "zrtp")),
        "family": optional(enum(4, 6), 4),
        "expires": optional(integer(1, 86400), 300),
        "ice": optional(BOOLEAN, False),
        "stun": optional(STUN),
        "turn": optional(TURN),
        "turn_username": optional(LINE),
        "turn_password": optional(LINE),
        "outbound": optional(BOOLEAN, False),
        "proxies": optional({"type": "array", "items": URI, "minItems": 1, "maxItems": MAX_FLOWS, "uniqueItems": True}),
        "q": optional({"type": "number", "minimum": 0, "maximum": 1}),
        "inband": optional(BOOLEAN, False),
    },
    "account.remove": _ACCOUNT,
    "register": {**_ACCOUNT, "expires": optional(integer(1, 86400))},
    "unregister": _ACCOUNT,
    "call.invite": {**_ACCOUNT, "target": Member(URI), "offer": optional(enum("early", "delayed"), "early")},
    "call.ring": _CALL,
    "call.answer": _CALL,
    "call.reject": {**_CALL, "code": Member(integer(400, 699)), "reason": optional(LINE)},
    "call.redirect": {**_CALL, "contact": Member(URI)},
    "call.cancel": _CALL,
    "call.bye": _CALL,
    "call.hold": _CALL,
    "call.resume": _CALL,
    "call.refer": {**_CALL, "target": Member(URI), "replaces": optional(ID)},
    "call.dtmf": {
        **_CALL,
        "digits": Member({"type": "string", "pattern": "^[0-9*#A-D]{1,32}$"}),
        "via": optional(enum("rfc4733", "info"), "rfc4733"),
    },
    "message.send": {**_ACCOUNT, "target": Member(URI), "body": Member(TEXT), "content_type": optional(LINE, "text/plain")},
    "subscribe": {**_ACCOUNT, "target": Member(URI), "package": Member(LINE), "expires": optional(integer(0, 86400), 300)},
    "media.play": {**_CALL, "tone_hz": Member(integer(0, 3800))},
    "media.record": {**_CALL, "seconds": Member({"type": "number", "minimum": 0.2, "maximum": 30})},
    "stats": {"call": optional(ID)},
    "reset": {},
    "shutdown": {},
}
"""Method -> parameters."""

RESULTS: Mapping[str, Members] = {
    "hello": {
        "contract": Member({"const": VERSION}),
        "vendor": Member(ID),
        "version": Member(ID),
        "capabilities": Member({"type": "array", "items": enum(*CONTRACT_CAPABILITIES), "uniqueItems": True}),
    },
    "account.add": {"account": Member(ID)},
    "call.invite": {"call": Member(ID)},
    "message.send": {"message": Member(ID)},
    "subscribe": {"subscription": Member(ID)},
    "media.record": {"recording": Member(ID)},
    "stats": {
        "calls": Member({"type": "array", "items": ID}),
        "rx_packets": optional(integer(0, 2**53)),
        "tx_packets": optional(integer(0, 2**53)),
    },
}
"""Method -> members of its result; an object with nothing required for the methods that are not here."""

EVENTS: Mapping[str, Members] = {
    "registration": {
        **_ACCOUNT,
        "state": Member(enum("registered", "unregistered", "failed")),
        "code": optional(STATUS),
        "reason": optional(TEXT),
        "expires": optional(integer(0, 2**32 - 1)),
        "flow": optional(integer(1, MAX_FLOWS)),
    },
    "call.incoming": {**_CALL, **_ACCOUNT, "from": Member(TEXT), "to": optional(TEXT)},
    "call.state": {
        **_CALL,
        "state": Member(enum("calling", "incoming", "ringing", "established", "held", "resumed", "terminated")),
        "code": optional(STATUS),
        "reason": optional(TEXT),
    },
    "call.media": {
        **_CALL,
        "direction": optional(enum("sendrecv", "sendonly", "recvonly", "inactive")),
        "encryption": optional(enum("none", "sdes", "dtls", "zrtp")),
        "codec": optional(TEXT),
    },
    "call.dtmf": {**_CALL, "digit": Member({"type": "string", "pattern": "^[0-9*#A-D]$"}), "via": optional(TEXT)},
    "message.received": {"from": Member(TEXT), "body": Member(TEXT), "content_type": optional(TEXT)},
    "message.status": {"message": Member(ID), "code": optional(STATUS), "ok": Member(BOOLEAN)},
    "transfer": {
        **_CALL,
        "state": Member(enum("requested", "accepted", "failed", "done")),
        "code": optional(STATUS),
        "target": optional(TEXT),
    },
    "notify": {"subscription": Member(ID), "state": Member(TEXT), "content_type": optional(TEXT), "body": optional(TEXT)},
    "media.recorded": {**_CALL, "recording": Member(ID), "file": Member(ID), "seconds": Member(NUMBER)},
    "call.released": {**_CALL, "cause": Member(integer(1, 127))},
    "call.updated": {**_CALL, "code": Member(STATUS)},
    "raw.received": {"raw": Member(ID), "data": Member(BASE64)},
    "raw.closed": {"raw": Member(ID), "reason": Member(TEXT)},
    "fault": {"what": Member(TEXT), "signal": optional({"type": ["integer", "string"]}), "exit": optional({"type": "integer"})},
}
"""Event -> its members besides `event`, `t` and `source`."""

SOURCES = ("native", "polled", "log")
ERRORS = ("unsupported", "bad-params", "unknown-account", "unknown-call", "bad-state", "vendor", "fault")

NEEDS: Mapping[str, str] = {
    "call.cancel": "cancel",
    "call.reject": "busy",
    "call.redirect": "redirect",
    "call.hold": "hold",
    "call.resume": "hold",
    "call.refer": "refer",
    "call.dtmf": "dtmf-rfc4733",
    "message.send": "message",
    "subscribe": "mwi",
}
"""Methods that may answer `unsupported`, and the capability without which they may."""

ADDED: Mapping[tuple[str, str], str] = {("account.add", "proxies"): "outbound-flows"}
"""Members that version 1 got later, and their capability: an agent without it ignores them, as every member that it does not know."""
