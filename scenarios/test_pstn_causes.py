"""Why a call ends, told across a gateway: causes of the telephone network (ITU-T Q.850) and SIP codes (RFC 3398 §7.2.4.1, §8.2.6.1)."""

import pytest

pytestmark = pytest.mark.lab(topology="pstn-gateway", about=["alice", "pa", "gw"], needs={"alice": ["udp", "invite"]})

NUMBER = "+49401"
"""Alice's telephone number."""

CAUSES = {1: 404, 17: 486, 18: 408, 19: 480, 21: 403, 31: 480, 34: 503, 57: 403}
"""RFC 3398 §7.2.4.1: cause of the REL -> status code of the response."""
CODES = {404: 1, 486: 17, 480: 18, 500: 41}
"""RFC 3398 §8.2.6.1: status code of the response -> cause of the REL."""


ONE_CAUSE = pytest.mark.control("gw", "one-cause", expect="refused the INVITE with 500")
UNALLOCATED = pytest.mark.control("gw", "unallocated", expect="refused the INVITE with 404")
SILENT = pytest.param("+493217", 17, id="17-in-500", marks=UNALLOCATED)
"""Its SIP code says nothing of the cause."""


@pytest.mark.parametrize(
    ("number", "cause"), [*(pytest.param(f"+4931{cause:02}", cause, id=f"{cause}", marks=ONE_CAUSE) for cause in CAUSES), SILENT]
)
def test_pstn_cause_map(lab, alice, number, cause):
    """A number that the telephone network releases with this cause is refused with RFC 3398's code, and the cause goes along as Reason."""
    alice.register()
    call = alice.dial(number)
    refused = call.refused()

    telephony = lab.wire.telephony
    assert telephony.released(cause, by="trunk", to="gw")
    assert telephony.refused(CAUSES[cause], by="gw", to="pa")
    assert telephony.released(cause, by="gw", to="pa")
    passed = (500, 503) if CAUSES[cause] == 503 else (CAUSES[cause], CAUSES[cause])  # RFC 3261 §16.7 step 6 lets a proxy say 500
    assert lab.wire.signalling.final_response("INVITE", *passed, to="alice")
    assert refused
    assert refused.coded(*passed)


AS_38 = pytest.mark.control("gw", "one-cause", expect="cause 38, should be")
AS_1 = pytest.mark.control("gw", "unallocated", expect="cause 1, should be")
"""For 500, which gateways are known to call 38 when nobody has made them wrong."""


@pytest.mark.lab(needs={"alice": ["reject-any"]})
@pytest.mark.parametrize("code", [pytest.param(code, id=f"{code}", marks=AS_1 if code == 500 else AS_38) for code in CODES])
def test_pstn_sip_to_cause(lab, alice, code):
    """A call from the telephone network that a subscriber refuses with this code is released with RFC 3398's cause."""
    alice.register()
    call = lab.trunk.call(NUMBER, "+49301")
    alice.expect_invite().reject(code)
    ended = call.refused()

    telephony = lab.wire.telephony
    assert telephony.refused(code, by="pa", to="gw")
    assert telephony.released(CODES[code], by="gw", to="trunk")
    assert lab.trunk.released(call, CODES[code])
    assert ended
