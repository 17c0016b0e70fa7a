"""Challenges beyond the plain one: several realms at once, a stale nonce, one that was announced (RFC 3261 §22, RFC 7616 §3.5)."""

from __future__ import annotations

import re

import pytest
from sipmessage import URI, Request, Response

from lab.sip.authentication import Protection
from lab.sip.digest import Challenge, Credentials, answer

WHO = Credentials("alice", "secret")


def request() -> Request:
    return Request(method="INVITE", uri=URI.parse("sip:bob@biloxi.example"))


def challenged(code: int, *headers: tuple[str, str]) -> Response:
    response = Response(code=code, phrase="")
    for name, value in headers:
        response.headers.add(name, value)
    return response


def digest(realm: str, nonce: str = "n", **more: str) -> str:
    return f'Digest realm="{realm}", nonce="{nonce}"' + "".join(f", {name}={value}" for name, value in more.items())


def nonces(message: Request, header: str) -> dict[str, str]:
    """Realm → nonce of the credentials."""
    found = {}
    for value in message.headers.getlist(header):
        given = dict(re.findall(r'(\w+)="([^"]*)"', value))
        found[given["realm"]] = given["nonce"]
    return found


@pytest.mark.parametrize("code", [401, 407])
def test_401_and_407_that_a_proxy_merged_are_all_answered(code):
    """RFC 3261 §16.7 step 7, §22.3: by realm, each in the header that belongs to it."""
    attempt, ours = Protection().attempt(WHO), request()
    merged = challenged(
        code,
        ("WWW-Authenticate", digest("user")),
        ("Proxy-Authenticate", digest("proxy one")),
        ("Proxy-Authenticate", digest("proxy two", algorithm="SHA-256")),
        ("Proxy-Authenticate", digest("proxy two")),
    )
    assert attempt.meet(ours, merged)
    assert set(nonces(ours, "Authorization")) == {"user"}
    assert set(nonces(ours, "Proxy-Authorization")) == {"proxy one", "proxy two"}
    assert len(ours.headers.getlist("Proxy-Authorization")) == 2


def test_a_second_proxy_is_answered_beside_the_first():
    attempt, ours = Protection().attempt(WHO), request()
    assert attempt.meet(ours, challenged(407, ("Proxy-Authenticate", digest("one"))))
    assert attempt.meet(ours, challenged(407, ("Proxy-Authenticate", digest("two"))))
    assert set(nonces(ours, "Proxy-Authorization")) == {"one", "two"}


def test_credentials_that_were_refused_are_not_sent_again_unless_the_nonce_was_stale():
    attempt, ours = Protection().attempt(WHO), request()
    assert attempt.meet(ours, challenged(401, ("WWW-Authenticate", digest("r", "1"))))
    assert attempt.meet(ours, challenged(401, ("WWW-Authenticate", digest("r", "2", stale="TRUE"))))
    assert nonces(ours, "Authorization") == {"r": "2"}
    assert not attempt.meet(ours, challenged(401, ("WWW-Authenticate", digest("r", "3"))))


def test_an_announced_nonce_is_used_without_being_asked_and_only_once():
    protection = Protection()
    first = protection.attempt(WHO)
    assert first.meet(request(), challenged(401, ("WWW-Authenticate", digest("r", "1", qop='"auth"'))))
    first.learn(challenged(200, ("Authentication-Info", 'qop=auth, nextnonce="2", rspauth="x"')))
    ours = request()
    second = protection.attempt(WHO)
    second.prepare(ours)
    assert nonces(ours, "Authorization") == {"r": "2"}
    assert second.meet(ours, challenged(401, ("WWW-Authenticate", digest("r", "3")))), "a guess that is refused is no refusal"
    assert not second.meet(ours, challenged(401, ("WWW-Authenticate", digest("r", "4"))))
    again = request()
    protection.attempt(WHO).prepare(again)
    assert not again.headers.getlist("Authorization")


def test_the_nonce_of_a_server_is_not_used_for_a_proxy():
    protection = Protection()
    first = protection.attempt(WHO)
    first.meet(request(), challenged(401, ("WWW-Authenticate", digest("r"))))
    first.learn(challenged(200, ("Proxy-Authentication-Info", 'nextnonce="2"')))
    assert not protection.announced


def test_broken_and_unknown_challenges_are_passed_over():
    attempt, ours = Protection().attempt(WHO), request()
    assert not attempt.meet(
        ours, challenged(401, ("WWW-Authenticate", "Digest realm"), ("WWW-Authenticate", digest("r", algorithm="SHA-3")))
    )
    assert not ours.headers.getlist("Authorization")


def test_auth_int_covers_the_body():
    """RFC 7616 §3.4.3."""
    challenge = Challenge.parse('Digest realm="r", nonce="n", qop="auth-int", algorithm=SHA-512-256')
    answers = {str(answer(challenge, WHO, "MESSAGE", "sip:b@c", body=body, cnonce="c").parameters["response"]) for body in (b"", b"x")}
    assert len(answers) == 2
