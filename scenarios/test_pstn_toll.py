"""Nobody telephones at another's expense: neither without credentials nor in another's name (RFC 3261 §26.1, §7.3.1, RFC 3325 §5)."""

import pytest

pytestmark = pytest.mark.lab(topology="pstn-gateway", about=["pa", "gw"], needs={"alice": ["udp", "invite", "raw"]})

PREMIUM, CALLED = "+49900", "+49301"
ALICE, BOB = "+49401", "+49402"

INVITE = """INVITE sip:{number}@atlanta.example SIP/2.0\r
Via: SIP/2.0/UDP {{local}};branch=z9hG4bK-siplab-toll;rport\r
Max-Forwards: 70\r
From: <sip:alice@atlanta.example>;tag=toll\r
To: <sip:{number}@atlanta.example>\r
Call-ID: toll-{way}@{{local}}\r
CSeq: 1 INVITE\r
Contact: <sip:alice@{{local}}>\r
P-Asserted-Identity: <sip:alice@atlanta.example>\r
Content-Length: 0\r
\r
"""


@pytest.mark.parametrize(
    "way",
    [
        pytest.param("proxy", marks=pytest.mark.control("pa", "accept-any-caller", expect="no 401, 403 or 407|from gw to trunk")),
        pytest.param("gateway", marks=pytest.mark.control("gw", "accept-anybody", expect="no 401, 403 or 407|from gw to trunk")),
    ],
)
def test_pstn_unauth_toll(lab, alice, way):
    """Who has not proven to be a subscriber is refused by proxy and gateway, and not one packet goes to the telephone network."""
    alice.send_raw(INVITE.format(number=PREMIUM, way=way), proxy={"proxy": "udp", "gateway": "gw/udp"}[way])
    lab.wire.wait(lambda m: not m.is_request and (m.status or 0) >= 180 and m.dst.element == "alice", within=6)
    assert lab.wire.telephony.barred(to="alice")
    assert lab.wire.telephony.untouched("gw", "trunk")


CLAIM = "<sip:bob@atlanta.example>"


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([["P-Asserted-Identity", CLAIM]], id="plain"),
        pytest.param([["P-Asserted-Identity ", CLAIM]], id="space-before-colon"),
        pytest.param([["p-asserted-identity", CLAIM], ["P-Asserted-Identity", CLAIM]], id="twice"),
        pytest.param([["P-Asserted-Identity", f"\r\n {CLAIM}"]], id="folded"),
        pytest.param([["Remote-Party-ID", f"{CLAIM};party=calling"]], id="remote-party-id"),
    ],
)
@pytest.mark.control("pa", "keep-claimed-identity", expect="pa asserts|gw asserts|gw reads bob@|trunk reads")
def test_pstn_header_smuggle(lab, alice, headers):
    """A subscriber who claims to be another in a header that only proxies may write calls as itself, however that header is written."""
    alice.register(headers=headers)
    call = alice.dial(CALLED)
    leg = lab.trunk.expect_call(CALLED)
    assert call.established()
    call.bye()
    assert leg.ended()
    telephony = lab.wire.telephony
    assert telephony.asserted("alice", by="pa", to="gw")
    assert telephony.hidden("bob@", to="gw")
    assert telephony.asserted(ALICE, by="gw", to="trunk")
    assert telephony.hidden(BOB, to="trunk")
