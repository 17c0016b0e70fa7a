"""Digest against the examples of the RFCs."""

import pytest

from lab.sip.digest import Challenge, Credentials, answer, choose
from lab.sip.fault import DigestError

MUFASA = Credentials("Mufasa", "Circle of Life")
RFC7616 = (
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", '
    'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)
CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_rfc_7616_section_3_9_1(algorithm, response):
    challenge = Challenge.parse(RFC7616.format(algorithm))
    given = answer(challenge, MUFASA, "GET", "/dir/index.html", cnonce=CNONCE).parameters
    assert given["response"] == response
    assert (given["qop"], given["nc"], given["opaque"]) == ("auth", "00000001", challenge.parameters["opaque"])
    assert 'qop=auth, nc=00000001, cnonce="' in str(given), "a token in credentials, a quoted string in challenges"


def test_rfc_2617_section_3_5_without_and_with_qop():
    text = 'Digest realm="testrealm@host.com", qop="auth", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"'
    given = answer(Challenge.parse(text), Credentials("Mufasa", "Circle Of Life"), "GET", "/dir/index.html", cnonce="0a4f113b").parameters
    assert given["response"] == "6629fae49393a05397450978507c4ef1"
    old = answer(Challenge.parse(text.replace('qop="auth", ', "")), Credentials("Mufasa", "Circle Of Life"), "GET", "/dir/index.html")
    assert old.parameters["response"] == "670fd8c2df070c60b045671b8b24ff02"
    assert "nc" not in old.parameters


def test_sha_512_256_is_the_truncated_hash_with_its_own_start():
    challenge = Challenge.parse('Digest realm="api@example.org", nonce="n", algorithm=SHA-512-256')
    given = answer(challenge, Credentials("u", "p"), "REGISTER", "sip:example.org").parameters
    assert len(given["response"]) == 64
    assert given["algorithm"] == "SHA-512-256"


def challenges(*algorithms: str) -> list[Challenge]:
    return [Challenge.parse(f'Digest realm="r", nonce="n", qop="auth", algorithm={name}') for name in algorithms]


def test_the_topmost_known_challenge_is_answered():
    """RFC 8760 §2.4."""
    assert choose(challenges("SHA-3", "SHA-256", "MD5")).parameters["algorithm"] == "SHA-256"
    assert choose(challenges("MD5", "SHA-256")).parameters["algorithm"] == "MD5"


@pytest.mark.parametrize("text", ['Digest realm="r', "Digest realm", 'Digest realm="r" nonce="n"'])
def test_a_broken_challenge_is_an_error(text):
    with pytest.raises(DigestError):
        Challenge.parse(text)


def test_nothing_known_is_an_error_that_names_what_was_offered():
    with pytest.raises(DigestError, match="SHA-3"):
        choose(challenges("SHA-3"))
    with pytest.raises(DigestError, match="nothing"):
        choose([])


def test_credentials_name_a_qop_without_quotes():
    """RFC 3261 §25.1: message-qop; a challenge's qop-options has them. ejabberd refuses the other form."""
    text = str(answer(challenges("MD5")[0], Credentials('x" qop="auth', "secret"), "REGISTER", "sip:b.example"))
    assert ", qop=auth," in text
    assert 'username="x\\" qop=\\"auth"' in text
    assert 'nonce="n"' in text
