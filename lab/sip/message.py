"""Well-formed messages: sipmessage's models, with the checks and the framing that RFC 3261 asks of a receiver."""

from __future__ import annotations

import re
import secrets
from typing import TypeVar

from sipmessage import URI, Address, Message, Parameters, Request, Response

from .fault import MessageError
from .framing import length_of, normal

COOKIE = "z9hG4bK"
"""Begins every branch that is unique in space and time (RFC 3261 §8.1.1.7)."""

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, MESSAGE, INFO, PRACK, UPDATE, REFER, SUBSCRIBE, NOTIFY"
EXTENSIONS = ("100rel", "replaces", "timer")
"""Option tags that we support, and that a request may require (RFC 3261 §8.2.2.3)."""

PHRASES = {
    100: "Trying",
    180: "Ringing",
    183: "Session Progress",
    200: "OK",
    202: "Accepted",
    302: "Moved Temporarily",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    415: "Unsupported Media Type",
    420: "Bad Extension",
    421: "Extension Required",
    422: "Session Interval Too Small",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    489: "Bad Event",
    491: "Request Pending",
    500: "Server Internal Error",
    503: "Service Unavailable",
    504: "Server Time-out",
    505: "Version Not Supported",
    603: "Decline",
}

_RECEIVED = re.compile(rb"(?i)(;\s*received\s*=\s*)([0-9a-f.]*:[0-9a-f:.]*)")
_BRACKETED = re.compile(rb"(?i)(;\s*received\s*=\s*)\[([0-9a-f:.]+)\]")
"""A Via's `received` is an IPv6 address without brackets (RFC 3261 §25.1), which sipmessage reads only with them."""
_TARGETS = re.compile(rb"(?im)\A[A-Z]+ sips?:[^\r\n]*|^(?:Route|Record-Route|Contact|Refer-To): [^\r\n]*")
_PARAMETER = re.compile(rb"(;[^=;<>\s,]+=)([^;<>\s,?]+)")
_UNRESERVED = re.compile(rb"(?i)%(5B|5D|2F|3A|26|2B|24)")
"""The `param-unreserved` of RFC 3261 §25.1 as sipmessage writes them, which escapes them."""
_MANDATORY = ("Via", "From", "To", "Call-ID", "CSeq")
_SINGLE = ("From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Type", "Expires")
"""Header fields of which the first would hide a second one."""
_MAX_SEQUENCE = 2**31
_LONG_NUMBER = re.compile(rb"(?i)tel:[^;>\s]{129}")
"""Ten thousand digits keep sipmessage busy for seconds: its pattern of a telephone number is quadratic."""
_MAX_REASON = 120
"""Characters of a reason phrase: it may quote what the other side wrote."""

AnyMessage = TypeVar("AnyMessage", Request, Response)


def parse(data: bytes) -> Request | Response:
    """One message. MessageError where a mandatory header is missing or wrong, or the body is shorter than Content-Length says.

    Bytes beyond Content-Length are dropped (RFC 3261 §18.3).
    """
    head, separator, body = data.partition(b"\r\n\r\n")
    try:
        head = normal(head)
        if _LONG_NUMBER.search(head):
            raise MessageError(f"a telephone number of more than 128 characters: {data[:60]!r}")
        message = Message.parse(_RECEIVED.sub(rb"\1[\2]", head) + separator + body)
        _check(message)
    except (ValueError, LookupError, TypeError, AssertionError) as error:
        raise MessageError(f"not a SIP message: {error}: {data[:60]!r}") from error
    length = length_of(head)
    if length is None:
        return message
    if length > len(message.body):
        raise MessageError(f"Content-Length is {length}, the body has {len(message.body)} bytes")
    message.body = message.body[:length]
    return message


def _check(message: Request | Response) -> None:
    """All that others here rely on, so that it is wrong once and not later. MessageError, or what sipmessage raises."""
    fields = {name: message.headers.getlist(name) for name in (*_MANDATORY, *_SINGLE)}
    missing = [name for name in _MANDATORY if not any(fields[name])]
    if missing:
        raise MessageError(f"no {' and no '.join(missing)} header")
    several = [name for name in _SINGLE if len(fields[name]) > 1]
    if several:
        raise MessageError(f"more than one {' and '.join(several)} header")
    _ = (message.via, message.from_address, message.to_address, message.contact, message.max_forwards)
    _ = (message.record_route, message.route, message.require, message.expires)
    if message.cseq.sequence >= _MAX_SEQUENCE:
        raise MessageError(f"CSeq {message.cseq.sequence} is not less than 2**31 (RFC 3261 §8.1.1.5)")
    if isinstance(message, Request) and message.cseq.method != message.method:
        raise MessageError(f"CSeq of {message.cseq.method} in a request {message.method} (RFC 3261 §8.1.1.5)")
    if isinstance(message, Response) and not 100 <= message.code <= 699:
        raise MessageError(f"status code {message.code} (RFC 3261 §7.2)")


def serialize(message: Request | Response) -> bytes:
    """The bytes to send; Content-Length is always ours to set (RFC 3261 §20.14)."""
    message.content_length = len(message.body)
    head, separator, body = bytes(message).partition(b"\r\n\r\n")
    return _TARGETS.sub(_as_given, _BRACKETED.sub(rb"\1\2", head)) + separator + body


def _as_given(line: re.Match[bytes]) -> bytes:
    """URI parameters as they came: what may stand in one unescaped must not be escaped on the way (RFC 3261 §19.1.4, §25.1)."""
    return _PARAMETER.sub(lambda found: found[1] + _UNRESERVED.sub(lambda code: bytes.fromhex(code[1].decode()), found[2]), line[0])


def new_branch() -> str:
    """A branch that nobody used before."""
    return COOKIE + secrets.token_hex(8)


def new_tag() -> str:
    """A tag of at least 32 random bits (RFC 3261 §19.3)."""
    return secrets.token_hex(6)


def tag_of(address: Address) -> str:
    """The tag of a From or To, or nothing."""
    return address.parameters.get("tag") or ""


def with_tag(address: Address, tag: str) -> Address:
    """The same address with a tag."""
    return Address(uri=address.uri, name=address.name, parameters=Parameters(**{**dict(address.parameters), "tag": tag}))


def bare(uri: URI) -> str:
    """`sip:user@host` without port and parameters: whom it names, not where it is."""
    return str(URI(scheme=uri.scheme, user=uri.user, host=uri.host))


def methods_of(message: Request | Response) -> frozenset[str]:
    """The methods of its Allow headers; nothing where it has none."""
    values = (value for line in message.headers.getlist("Allow") for value in line.split(","))
    return frozenset(value.strip().upper() for value in values if value.strip())


def branch_of(message: Request | Response) -> str:
    """The topmost Via's branch."""
    return message.via[0].parameters.get("branch") or ""


def respond(request: Request, code: int, reason: str | None = None, tag: str = "") -> Response:
    """A response as RFC 3261 §8.2.6 makes one; `tag` goes into To where the request had none. `reason` may hold anything."""
    phrase = "".join(char if char.isprintable() else "?" for char in (reason or "")[:_MAX_REASON])
    response = Response(code=code, phrase=phrase or PHRASES.get(code, "Response"))
    for name in ("Via", "From", "Call-ID", "CSeq"):
        response.headers.setlist(name, list(request.headers.getlist(name)))
    to = request.to_address
    response.to_address = with_tag(to, tag) if tag and not tag_of(to) else to
    if request.headers.getlist("Record-Route") and 100 < code < 300:
        response.headers.setlist("Record-Route", list(request.headers.getlist("Record-Route")))
    return response


def not_allowed(request: Request, tag: str = "") -> Response:
    """405 with the methods that are (RFC 3261 §21.4.6)."""
    response = respond(request, 405, tag=tag)
    response.headers.set("Allow", ALLOW)
    return response


def set_body(message: Request | Response, content_type: str, body: bytes) -> None:
    """Give a message a body."""
    message.headers.set("Content-Type", content_type)
    message.body = body
