"""Digest as a callee demands it of callers (RFC 3261 §22.2): a challenge, and whether it was answered."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from sipmessage import Request, Response

from . import digest
from .digest import Challenge, Credentials
from .fault import DigestError
from .message import respond


@dataclass(frozen=True)
class Guard:
    """Lets in who has these credentials for this realm; MD5 with qop auth. Those for other realms are none of its business (§22.3)."""

    realm: str
    credentials: Credentials
    nonce: str = field(default_factory=lambda: secrets.token_hex(16))

    def objection(self, request: Request, tag: str) -> Response | None:
        """401 with the challenge; None where the request has answered it."""
        if any(self._fits(request, value) for value in request.headers.getlist("Authorization")):
            return None
        response = respond(request, 401, tag=tag)
        response.headers.set("WWW-Authenticate", f'Digest realm="{self.realm}", nonce="{self.nonce}", qop="auth", algorithm=MD5')
        return response

    def _fits(self, request: Request, value: str) -> bool:
        try:
            given = Challenge.parse(value).parameters
            count = int(given.get("nc", "0"), 16)
        except (DigestError, ValueError):
            return False
        asked = Challenge("Digest", {"realm": self.realm, "nonce": self.nonce, "qop": "auth", "algorithm": "MD5"})
        wanted = digest.answer(asked, self.credentials, request.method, given.get("uri", ""), count=count, cnonce=given.get("cnonce", ""))
        expected = dict(wanted.parameters or {})
        names = ("username", "realm", "nonce", "response")
        return all(secrets.compare_digest(given.get(name, "").encode(), str(expected[name]).encode()) for name in names)
