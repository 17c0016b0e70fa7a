"""Answering challenges: of several servers at once, again after a stale nonce, and beforehand with a nonce that was announced."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace

from sipmessage import Request, Response

from . import digest
from .digest import Challenge, Credentials
from .fault import DigestError

KINDS = {"WWW-Authenticate": "Authorization", "Proxy-Authenticate": "Proxy-Authorization"}
INFORMATION = {"Authentication-Info": "Authorization", "Proxy-Authentication-Info": "Proxy-Authorization"}
_NEXT = re.compile(r'(?:^|[,\s])nextnonce\s*=\s*"([^"]*)"', re.IGNORECASE)

Space = tuple[str, str]
"""Header of the answer and realm: where one pair of name and password is valid (RFC 7616 §3.3)."""


@dataclass
class Protection:
    """What an account remembers of its servers: challenges whose nonce was announced by `nextnonce` (RFC 7616 §3.5), and how often it has
    used each nonce, which a server counts too (nc, §3.4)."""

    announced: dict[Space, Challenge] = field(default_factory=dict)
    used: Counter[tuple[Space, str]] = field(default_factory=Counter)

    def attempt(self, credentials: Credentials, *, only_first: bool = False) -> Attempt:
        """The authentication of one request. `only_first`: a misbehaviour, of several challenges one is answered."""
        return Attempt(self, credentials, only_first)


@dataclass
class Attempt:
    """One request until it is accepted or refused. Each realm gets one answer, and one more where it calls the nonce stale."""

    protection: Protection
    credentials: Credentials
    only_first: bool = False
    answered: dict[Space, Challenge] = field(default_factory=dict)
    _guessed: set[Space] = field(default_factory=set)

    def prepare(self, request: Request) -> None:
        """Credentials before anybody asked, where a nonce for them was announced."""
        for space in list(self.protection.announced):
            self.answered[space] = self.protection.announced.pop(space)
            self._guessed.add(space)
        self._write(request)

    def meet(self, request: Request, response: Response) -> bool:
        """Answer every realm that challenges, whichever of 401 and 407 brings it (a proxy merges them, RFC 3261 §16.7 step 7).

        False where nothing new can be said: our credentials were refused, or no algorithm is known.
        """
        fresh = False
        for space, challenges in list(_by_realm(response).items())[: 1 if self.only_first else None]:
            try:
                challenge = digest.choose(challenges)
            except DigestError:
                continue
            refused = space in self.answered and space not in self._guessed
            if refused and challenge.parameters.get("stale", "").lower() != "true":
                continue
            self.answered[space] = challenge
            self._guessed.discard(space)
            fresh = True
        self._write(request)
        return fresh

    def learn(self, response: Response) -> None:
        """Keep what a final response announces for the next request."""
        for name, header in INFORMATION.items():
            match = _NEXT.search(response.headers.get(name) or "")
            for space, challenge in self.answered.items():
                if match and space[0] == header:
                    self.protection.announced[space] = replace(challenge, parameters={**challenge.parameters, "nonce": match[1]})

    def _write(self, request: Request) -> None:
        for header in KINDS.values():
            answers = [self._answer(request, space, challenge) for space, challenge in self.answered.items() if space[0] == header]
            if answers:
                request.headers.setlist(header, answers)

    def _answer(self, request: Request, space: Space, challenge: Challenge) -> str:
        use = (space, challenge.parameters.get("nonce", ""))
        self.protection.used[use] += 1
        count, uri = self.protection.used[use], str(request.uri)
        return str(digest.answer(challenge, self.credentials, request.method, uri, count=count, body=request.body))


def _by_realm(response: Response) -> dict[Space, list[Challenge]]:
    """Challenges of a response; one that is broken is none."""
    found: dict[Space, list[Challenge]] = {}
    for name, header in KINDS.items():
        for value in response.headers.getlist(name):
            try:
                challenge = Challenge.parse(value)
            except DigestError:
                continue
            found.setdefault((header, challenge.parameters.get("realm", "")), []).append(challenge)
    return found
