"""sips: addresses and IPv6: what is refused, and calls that go through."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from pathlib import Path

import pytest
from sip_pair import Diary, Side, own_net, pair, run
from sipmessage import URI

from lab.plan.model import CertificateRequest
from lab.render.pki import Authority
from lab.sip.account import Account
from lab.sip.digest import Credentials
from lab.sip.fault import TransportError
from lab.sip.tls import TlsFiles
from lab.sip.transports import PORTS
from lab.sip.user_agent import Settings, UserAgent


def secure(side: Side) -> Account:
    """Its account as a sips: one."""
    side.account = replace(side.account, aor=URI.parse(str(side.account.aor).replace("sip:", "sips:")))
    side.ua.accounts[:] = [side.account]
    return side.account


async def asked(alice: Side, uri: str) -> tuple[int, str]:
    """Code and warning of an INVITE to `uri`."""
    request = alice.ua.out_of_dialog("INVITE", alice.account, URI.parse(uri), URI.parse(uri))
    response = await alice.ua.dispatch.submit(request, alice.account, alice.account.hop)
    return response.code, (response.headers.get("Warning") or "")[:3]


def test_a_sips_account_is_not_called_by_sip_nor_in_clear():
    """RFC 5630 §5.1.1: 480 with warning 381; and 403 for sips over UDP."""

    async def script():
        async with pair() as (alice, bob):
            secure(bob)
            assert await asked(alice, f"sip:bob@{bob.account.host}") == (480, "381")
            assert await asked(alice, f"sips:bob@{bob.account.host}") == (403, "")

    run(script)


@pytest.mark.parametrize("hop", ["sip:{};transport=udp", "sip:{};transport=tcp", "sip:{}"])
def test_a_sips_account_goes_nowhere_in_clear(hop):
    async def script():
        async with pair() as (alice, bob):
            account = secure(alice)
            with pytest.raises(TransportError, match="RFC 5630"):
                await alice.ua.dispatch.flow(URI.parse(hop.format(bob.account.host)), account)

    run(script)


def certificate(folder: Path, authority: Authority, host: str) -> TlsFiles:
    issued = authority.issue(CertificateRequest(host, host, ("localhost",), (f"sip:{host}",)))
    for name, data in ((f"{host}.pem", issued.certificate), (f"{host}.key", issued.key), ("ca.pem", authority.root)):
        (folder / name).write_bytes(data)
    return TlsFiles(str(folder / "ca.pem"), str(folder / f"{host}.pem"), str(folder / f"{host}.key"))


def test_a_call_between_sips_addresses(tmp_path):
    """TLS on every hop, Contact sips: on both sides; verification of names is another test's (test_sip_reach.py)."""

    async def script():
        net, authority = own_net(), Authority()
        sides = []
        for user, host, other in (("alice", f"{net}.1", f"{net}.2"), ("bob", f"{net}.2", f"{net}.1")):
            diary = Diary()
            ua = UserAgent(Settings((host,), (), (40000, 40010), 440, certificate(tmp_path, authority, host)), diary)
            ua.misbehave("accept-any-certificate")
            aor, proxy = URI.parse(f"sips:{user}@{host}"), URI.parse(f"sip:{other}:5061;transport=tls")
            ua.accounts.append(Account("a1", aor, Credentials(user, "x"), proxy, "tls", "rtp", host))
            await ua.start()
            sides.append((ua, diary))
        (alice, _), (bob, heard) = sides
        call = alice.call(alice.accounts[0], bob.accounts[0].aor)
        call.place(bob.accounts[0].aor, delayed=False)
        await heard.wait("incoming")
        leg = heard.calls[0]
        leg.respond(200)
        await heard.wait("established")
        assert (call.dialog.target.scheme, leg.dialog.target.scheme) == ("sips", "sips")
        leg.hang_up()
        await heard.wait("terminated", 200)
        for ua, _ in sides:
            await ua.close()

    run(script)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_call_over_ipv6(transport, monkeypatch):
    """One user agent that calls itself: there is one IPv6 loopback address. Its ports are its own, as others may use 5060 there."""
    for name in ("udp", "tcp"):
        monkeypatch.setitem(PORTS, name, 20000 + secrets.randbelow(10000))

    async def script():
        side = Side("alice", transport, "rtp", "::1", "::1")
        side.account = replace(side.account, proxy=URI.parse(f"sip:[::1]:{PORTS[transport]};transport={transport}"))
        side.ua.accounts[:] = [side.account]
        await side.ua.start()
        side.dial(side)
        leg = await side.answer()
        await side.diary.wait("media")
        assert await side.diary.sound()
        assert b"c=IN IP6 ::1\r\n" in side.requests("INVITE")[0].body
        assert side.requests("INVITE")[0].via[0].host == "[::1]"
        leg.hang_up()
        while side.ua.calls:
            await asyncio.sleep(0.01)
        await side.ua.close()

    run(script)
