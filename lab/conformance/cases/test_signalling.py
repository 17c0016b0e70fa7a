"""How alice is found, how she proves who she is and how she keeps a registration: what takes a server that demands or answers more."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from lab.agents.user_agent import UserAgent
from lab.conformance.breach import hold, insist
from lab.conformance.conversation import NAPTR, SRV, asked, renew
from lab.session.lab import Lab

pytestmark = pytest.mark.lab(topology="trapezoid")


@pytest.fixture
def demand(lab: Lab) -> Iterator[Callable[[str], None]]:
    """Makes alice's proxy insist on something, to the end of the case."""
    server = lab.server("pa")
    insist("pa", "demand", server.can("demand"), "the manifest names no control command demand")
    yield server.demand
    server.demand("nothing")


@pytest.mark.lab(needs={"pa": ["digest-sha-256"]})
def test_registration_with_sha_256(lab: Lab, alice: UserAgent, over: str, demand: Callable[[str], None]) -> None:
    """A registrar that challenges with SHA-256 alone is answered with that, and accepts it (RFC 8760 §2)."""
    demand("sha-256")
    alice.register(transport=over)
    signalling = lab.wire.signalling
    challenges = signalling.responses(401, "REGISTER").received_by("alice")
    insist(
        "pa",
        "challenge",
        bool(challenges) and all("SHA-256" in m.header("WWW-Authenticate") for m in challenges),
        "no challenge with SHA-256",
    )
    sent = [m.header("Authorization") for m in signalling.requests("REGISTER").sent_by("alice") if m.header("Authorization")]
    insist("alice", "digest", bool(sent) and all("SHA-256" in value for value in sent), f"answered with {sent[:1] or 'nothing'}")
    assert signalling.authorized("REGISTER", source="alice")


@pytest.mark.lab(needs={"pa": ["tls", "mtls"]})
def test_client_certificate(lab: Lab, alice: UserAgent, demand: Callable[[str], None]) -> None:
    """A server that refuses who shows no certificate that it can verify is shown one, and takes the registration."""
    demand("client-certificate")
    outcome = alice.attempt_register(transport="tls", within=20)
    signalling = lab.wire.signalling
    refused = signalling.responses(403, "REGISTER").received_by("alice")
    hold("alice", "certificate", [f"refused: {refused[0].reason}"] if refused else [])
    outcome.required()
    assert lab.wire.connections.client_certificate("alice", "pa")


@pytest.mark.lab(needs={"bob": ["sips", "tls"], "pa": ["sips", "tls"], "pb": ["sips", "tls"]})
def test_sips_calls(lab: Lab, alice: UserAgent, bob: UserAgent) -> None:
    """A sips: address of record registers, calls and is called: SIPS in every Request-URI and Contact, TLS on every hop (RFC 5630)."""
    alice.register(transport="tls", aor=secured(alice.aor))
    renew(bob, transport="tls", aor=secured(bob.aor))
    for caller, callee in ((alice, bob), (bob, alice)):
        call = caller.invite(secured(callee.aor))
        leg = callee.expect_invite()
        leg.answer()
        assert call.established()
        assert leg.established()
        call.bye()
        assert leg.ended()
        assert call.ended()
    mine = lab.wire.signalling.between("alice", "pa")
    contacts = [m for m in mine.sent_by("alice") if any("sips:" not in contact for contact in m.header_values("Contact") if contact != "*")]
    requests = [m for m in mine.requests("INVITE").sent_by("alice") if not m.uri.startswith("sips:")]
    insist("alice", "sips", not contacts, "a Contact without sips:", *contacts)
    insist("alice", "sips", not requests, "an INVITE to a URI without sips:", *requests)
    assert mine.where(lambda m: m.call_id in mine.requests("INVITE").call_ids).all_over("tls")


def secured(aor: str) -> str:
    """The SIPS form of an address of record."""
    return aor.replace("sip:", "sips:", 1)


def test_registration_by_srv(lab: Lab, alice: UserAgent, over: str) -> None:
    """A proxy that is a domain without port is looked up by SRV, and found where that says (RFC 3263 §4.2)."""
    alice.register(transport=over, proxy=f"domain/{over}")
    wanted = "_sips._tcp." if over == "tls" else f"_sip._{over}."
    names = asked(lab, "alice", SRV)
    insist(
        "alice",
        "srv",
        any(name.lower().startswith(wanted) for name in names),
        f"no SRV query for {wanted} (asked: {', '.join(names) or 'none'})",
    )
    assert lab.wire.signalling.between("alice", "pa").all_over(over)


def test_registration_by_naptr(lab: Lab, alice: UserAgent) -> None:
    """A proxy that is a domain alone is looked up by NAPTR, and its transport is used and not the account's (RFC 3263 §4.1)."""
    able = [name for name in ("tcp", "tls", "udp") if name in lab.declares("alice")] or ["tcp"]
    chosen, own = able[0], able[-1]
    domain = alice.aor.partition("@")[2]
    service, prefix = ("SIPS", "_sips") if chosen == "tls" else ("SIP", "_sip")
    letter = "U" if chosen == "udp" else "T"
    lab.name_server.answer(
        domain, "NAPTR", f'10 50 "s" "{service}+D2{letter}" "" {prefix}._{"udp" if chosen == "udp" else "tcp"}.{domain}.'
    )
    alice.register(transport=own, proxy="domain")
    insist("alice", "naptr", bool(asked(lab, "alice", NAPTR)), "no NAPTR query")
    assert lab.wire.signalling.between("alice", "pa").requests("REGISTER").all_over(chosen)


@pytest.mark.lab(needs={"pa": ["tcp"]})
def test_outbound_flow(lab: Lab, alice: UserAgent, bob: UserAgent) -> None:
    """The registration names instance and flow, and a call comes back over the connection that alice opened (RFC 5626 §4.2, 5.3)."""
    chosen = next((name for name in ("tcp", "tls") if name in lab.declares("alice")), "tcp")
    alice.register(transport=chosen, outbound=True)
    call = bob.invite(alice.aor)
    alice.expect_invite().answer()
    assert call.established()
    signalling = lab.wire.signalling
    sent = signalling.requests("REGISTER").sent_by("alice")
    named = [m for m in sent if "reg-id=" in m.header("Contact").lower() and "+sip.instance=" in m.header("Contact").lower()]
    insist("alice", "outbound", bool(named), "no REGISTER with reg-id and +sip.instance", *sent[:1])
    insist("alice", "outbound", any("outbound" in m.header_values("Supported") for m in sent), "Supported does not say outbound", *sent[:1])
    invites = signalling.requests("INVITE").received_by("alice")
    strayed = [m for m in invites if m.dst.port not in {each.src.port for each in named}]
    insist("alice", "outbound", not strayed, "the call came over another connection", *strayed)


@pytest.mark.lab(needs={"pa": ["tcp"]})
def test_outbound_flows(lab: Lab, alice: UserAgent) -> None:
    """One instance registers through each of two outbound proxies, by reg-id 1 and 2, and tells of both (RFC 5626 §4.2.1)."""
    chosen = next((name for name in ("tcp", "tls") if name in lab.declares("alice")), "tcp")
    uris = [alice.identity.proxies[name] for name in (chosen, f"address/{chosen}")]
    alice.register(transport=chosen, outbound=True, proxies=uris)
    flows = lab.wire.outbound.flows("alice")
    numbers, instances = [flow.reg_id for flow in flows], {flow.instance for flow in flows}
    found = f"flows {numbers} of {len(instances)} instances were registered"
    insist("alice", "outbound-flows", numbers == [1, 2] and len(instances) == 1, found, *(flow.message for flow in flows))


def test_contact_preference(lab: Lab, alice: UserAgent, over: str) -> None:
    """The contact is registered with the q value that was asked for, in the form of RFC 3261 §25.1."""
    alice.register(transport=over, q=0.25)
    sent = lab.wire.signalling.requests("REGISTER").sent_by("alice")
    named = [m for m in sent if re.search(r";\s*q\s*=\s*0\.250?\s*(;|$)", m.header("Contact"))]
    insist("alice", "q-value", bool(named), f"no REGISTER with q=0.25 (Contact: {sent[-1].header('Contact') if sent else 'none'})")


@pytest.mark.lab(needs={"bob": ["mwi"]})
def test_message_waiting(lab: Lab, alice: UserAgent, bob: UserAgent, over: str) -> None:
    """alice subscribes to her own messages, which bob keeps for her, and what is waiting is told (RFC 3842, 6665)."""
    mailbox = alice.identity
    alice.register(transport=over)
    lab.server("pa").flush((mailbox.username, mailbox.aor.partition("@")[2]))  # else her subscription comes back to herself as well
    bob.overrides.update(aor=mailbox.aor, username=mailbox.username, password=mailbox.password, proxy=mailbox.proxies[over])
    bob.register(transport=over)
    subscription = alice.subscribe(alice.aor, "message-summary")
    accepted = lab.wire.wait(
        lambda m: m.method == "SUBSCRIBE" and m.dst.element == "alice" and m.status in (200, 202), within=8.0, about="2xx"
    )
    refused = lab.wire.signalling.requests("SUBSCRIBE").sent_by("alice")
    insist(
        "alice" if not refused else "bob", "subscribe", bool(accepted), "no SUBSCRIBE sent" if not refused else "SUBSCRIBE was not accepted"
    )
    arrived = lab.wire.wait(lambda m: m.is_request and m.method == "NOTIFY" and m.dst.element == "alice", within=8.0, about="NOTIFY")
    insist("bob", "notify", bool(arrived) and any(b"Messages-Waiting" in m.body for m in arrived), "sent no NOTIFY with Messages-Waiting")
    assert alice.notified(subscription, "Messages-Waiting")
    assert lab.wire.signalling.response_to("NOTIFY", 200)
