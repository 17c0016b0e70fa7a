"""Digest for a client (RFC 3261 §22, RFC 7616) and its choice among algorithms (RFC 8760)."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sipmessage import AuthCredentials, AuthParameters

from .fault import DigestError


def _sha512_256(data: bytes) -> str:
    return hashlib.new("sha512_256", data).hexdigest()


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


ALGORITHMS: dict[str, Callable[[bytes], str]] = {
    "md5": _md5,
    "sha-256": lambda data: hashlib.sha256(data).hexdigest(),
    "sha-512-256": _sha512_256,
}
"""Known algorithms, in lower case; each also with `-sess`."""


_PARAMETER = re.compile(r'\s*([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(?:,|$)')


@dataclass(frozen=True)
class Challenge:
    """A challenge; names of parameters in lower case. Our own reader, as a comma within quotes (`qop="auth, auth-int"`) is legal."""

    scheme: str
    parameters: Mapping[str, str]

    @classmethod
    def parse(cls, value: str) -> Challenge:
        """One header's value. DigestError where it is broken."""
        scheme, _, rest = value.strip().partition(" ")
        found, position = {}, 0
        while position < len(rest):
            match = _PARAMETER.match(rest, position)
            if not match:
                raise DigestError(f"broken challenge at {rest[position : position + 40]!r}")
            quoted = match[2]
            found[match[1].lower()] = match[3] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            position = match.end()
        return cls(scheme, found)


@dataclass(frozen=True)
class Credentials:
    """A user's name and password."""

    username: str
    password: str


def choose(challenges: Sequence[Challenge]) -> Challenge:
    """The topmost challenge that we can answer (RFC 8760 §2.4: the server's order is its preference). DigestError where there is none."""
    for challenge in challenges:
        if (
            challenge.scheme.lower() == "digest"
            and _hash_of(challenge.parameters) is not None
            and _quality(challenge.parameters) is not None
        ):
            return challenge
    offered = ", ".join(f"{c.scheme} {c.parameters.get('algorithm', 'MD5')}" for c in challenges) or "nothing"
    raise DigestError(f"no challenge that we can answer among: {offered}")


def answer(
    challenge: Challenge, credentials: Credentials, method: str, uri: str, *, count: int = 1, body: bytes = b"", cnonce: str = ""
) -> AuthCredentials:
    """Credentials for one request. `count` is how often this nonce was used with this one (nc); `cnonce` is for test vectors."""
    given = challenge.parameters
    hashed, quality = _hash_of(given), _quality(given)
    if hashed is None or quality is None:
        raise DigestError(f"cannot answer a challenge with algorithm {given.get('algorithm')} and qop {given.get('qop')}")
    cnonce, nc = cnonce or secrets.token_hex(8), f"{count:08x}"
    realm, nonce = given.get("realm", ""), given.get("nonce", "")
    secret = hashed(f"{credentials.username}:{realm}:{credentials.password}".encode())
    if given.get("algorithm", "").lower().endswith("-sess"):
        secret = hashed(f"{secret}:{nonce}:{cnonce}".encode())
    target = f"{method}:{uri}" + (f":{hashed(body)}" if quality == "auth-int" else "")
    middle = f"{nonce}:{nc}:{cnonce}:{quality}" if quality else nonce
    response = hashed(f"{secret}:{middle}:{hashed(target.encode())}".encode())
    members = {"username": credentials.username, "realm": realm, "nonce": nonce, "uri": uri, "response": response}
    members |= {name: given[name] for name in ("algorithm", "opaque") if name in given}
    if quality:
        members |= {"qop": quality, "nc": nc, "cnonce": cnonce}
    return AuthCredentials(scheme="Digest", parameters=_Answer(**members))


class _Answer(AuthParameters):
    """Parameters of credentials, where qop is a token; in quotes it stands in challenges only (RFC 3261 §25.1, RFC 7616 §3.4)."""

    def __str__(self) -> str:
        return super().__str__().replace(f'qop="{self.get("qop")}"', f"qop={self.get('qop')}")


def _hash_of(given: Mapping[str, str]) -> Callable[[bytes], str] | None:
    return ALGORITHMS.get(given.get("algorithm", "MD5").lower().removesuffix("-sess"))


def _quality(given: Mapping[str, str]) -> str | None:
    """`auth` before `auth-int`; "" where the server knows none (RFC 2069 style); None where it wants one that we do not know."""
    if "qop" not in given:
        return ""
    offered = [value.strip().lower() for value in given["qop"].split(",")]
    return next((value for value in ("auth", "auth-int") if value in offered), None)
