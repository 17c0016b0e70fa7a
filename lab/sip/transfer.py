"""Transfer (RFC 3515, RFC 3891, RFC 5589): what Refer-To, Replaces and the sipfrag of a NOTIFY say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote

from sipmessage import URI

from .dialog import Dialog
from .fault import MessageError
from .message import tag_of

SIPFRAG = "message/sipfrag"
_REFER_TO = re.compile(r"\s*(?:[^<]*<([^>]+)>|([^\s;]+)).*", re.DOTALL)
_STATUS = re.compile(rb"SIP/2\.0 (\d{3})")


@dataclass(frozen=True)
class Replaces:
    """The dialog that a new call takes the place of, as the one who receives the INVITE knows it (RFC 3891 §3)."""

    call_id: str
    to_tag: str
    from_tag: str
    early_only: bool = False

    @classmethod
    def of(cls, dialog: Dialog) -> Replaces:
        """Our dialog with somebody, for him to find."""
        return cls(dialog.call_id, tag_of(dialog.remote), tag_of(dialog.local))

    @classmethod
    def parse(cls, text: str) -> Replaces:
        """A Replaces header. MessageError where a tag is missing."""
        call_id, *parameters = text.split(";")
        tags = dict(part.strip().split("=", 1) for part in parameters if "=" in part)
        if "to-tag" not in tags or "from-tag" not in tags:
            raise MessageError(f"Replaces without tags: {text!r}")
        return cls(call_id.strip(), tags["to-tag"], tags["from-tag"], any(part.strip() == "early-only" for part in parameters))

    def __str__(self) -> str:
        return f"{self.call_id};to-tag={self.to_tag};from-tag={self.from_tag}"

    def names(self, dialog: Dialog) -> bool:
        """Is this our dialog?"""
        return (self.call_id, self.to_tag, self.from_tag) == (dialog.call_id, tag_of(dialog.local), tag_of(dialog.remote))


@dataclass(frozen=True)
class ReferTo:
    """Whom to call, and in whose place."""

    target: URI
    replaces: str | None = None

    @classmethod
    def only(cls, texts: Sequence[str]) -> ReferTo:
        """The Refer-To of a REFER, which has exactly one (RFC 3515 §2.4.1). MessageError where that is not so."""
        if len(texts) != 1:
            raise MessageError(f"{len(texts)} Refer-To headers, where one is needed (RFC 3515 §2.4.1)")
        return cls.parse(texts[0])

    @classmethod
    def parse(cls, text: str) -> ReferTo:
        """A Refer-To header. MessageError where it holds no SIP URI, or what is no Replaces."""
        match = _REFER_TO.fullmatch(text)
        uri, _, headers = (match[1] or match[2] if match else "").partition("?")
        fields = dict(part.split("=", 1) for part in headers.split("&") if "=" in part)
        replaces = next((unquote(value) for name, value in fields.items() if name.lower() == "replaces"), None)
        if replaces is not None and not replaces.isprintable():
            raise MessageError(f"Refer-To with a Replaces of several lines: {replaces!r}")
        try:
            return cls(URI.parse(uri), replaces)
        except (ValueError, TypeError) as error:
            raise MessageError(f"Refer-To holds no SIP URI: {text!r}") from error

    def __str__(self) -> str:
        return f"<{self.target}{'?Replaces=' + quote(self.replaces, safe='') if self.replaces else ''}>"


def status_of(sipfrag: bytes) -> int | None:
    """The code in a NOTIFY's body (RFC 3515 §2.4.5)."""
    match = _STATUS.match(sipfrag)
    return int(match[1]) if match else None
