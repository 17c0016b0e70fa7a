"""A SIP message as an agent meets it in its software's trace or log: read leniently, never written.

What a console or control socket leaves out (codes of answers, directions of SDP) is taken from there and told with source `log`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_COMPACT = {"i": "call-id", "f": "from", "t": "to", "m": "contact", "l": "content-length", "c": "content-type", "v": "via"}
_DIRECTION = re.compile(r"^a=(sendrecv|sendonly|recvonly|inactive)\s*$", re.M)


@dataclass(frozen=True)
class Message:
    """Start line, headers (lower case names, first value of each) and body; `sent` by our software, or received."""

    sent: bool
    start: str
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""

    @classmethod
    def parse(cls, sent: bool, lines: list[str]) -> Message:
        """Of the lines of a trace, without their ends; the first one is the start line."""
        headers: dict[str, str] = {}
        for number, line in enumerate(lines[1:], 1):
            if not line:
                return cls(sent, lines[0], headers, "\n".join(lines[number + 1 :]))
            name, colon, value = line.partition(":")
            key = name.strip().lower()
            if colon:
                headers.setdefault(_COMPACT.get(key, key), value.strip())
        return cls(sent, lines[0], headers)

    @property
    def code(self) -> int:
        """Status code; 0 for a request."""
        found = re.match(r"SIP/2.0 (\d{3})", self.start)
        return int(found[1]) if found else 0

    @property
    def reason(self) -> str:
        """Reason phrase of a response."""
        return self.start.split(" ", 2)[2] if self.code and self.start.count(" ") > 1 else ""

    @property
    def method(self) -> str:
        """Method of the request, or of the request that is answered (CSeq)."""
        return self.headers.get("cseq", "").partition(" ")[2].strip() if self.code else self.start.split(" ", 1)[0]

    @property
    def call_id(self) -> str:
        """Call-ID, empty where there is none."""
        return self.headers.get("call-id", "")

    @property
    def in_dialog(self) -> bool:
        """Has a tag in To: belongs to a dialog (RFC 3261 §12.2)."""
        return ";tag=" in self.headers.get("to", "").lower()

    @property
    def final(self) -> bool:
        """A response that ends its transaction for good: challenges are answered by a new request."""
        return self.code >= 200 and self.code not in (401, 407)

    @property
    def expires(self) -> int | None:
        """Seconds granted or asked for: of the Contact, else of the Expires header (RFC 3261 §10.2.4)."""
        found = re.search(r"expires\s*=\s*\"?(\d+)", self.headers.get("contact", ""), re.I)
        value = found[1] if found else self.headers.get("expires", "").strip()
        return int(value) if value.isdigit() else None

    @property
    def direction(self) -> str | None:
        """Direction of the session description (RFC 4566 §6: `sendrecv` where it says none); None without one."""
        if "m=audio" not in self.body:
            return None
        found = _DIRECTION.search(self.body)
        return found[1] if found else "sendrecv"


def bare(address: str) -> str:
    """The URI of a From or To value, as of `"Bob" <sip:bob@b>;tag=1`. Without brackets parameters are the header's (RFC 3261 §20.10)."""
    found = re.search(r"<([^<>]*)>", address)
    return found[1] if found else address.partition(";")[0].strip()
