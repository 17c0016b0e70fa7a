"""Getting there: RFC 3263 against a name server of the test's own, TLS with one fault, challenges of a registrar."""

from __future__ import annotations

import asyncio
import hashlib
import re
import ssl
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import dns.message
import dns.rrset
import pytest
from sip_pair import own_net
from sipmessage import URI, Request

from lab.plan.model import CertificateRequest
from lab.render.pki import Authority
from lab.sip.account import Account
from lab.sip.digest import Credentials
from lab.sip.dispatch import Dispatch
from lab.sip.exchange import Exchange
from lab.sip.fault import TransportError
from lab.sip.framing import StreamFramer
from lab.sip.message import new_tag, parse, respond, serialize
from lab.sip.misbehaviour import Misbehaviours
from lab.sip.resolve import Resolver
from lab.sip.tls import TlsFiles, server_context
from lab.sip.transports import Hop, Transports

HOST = f"{own_net()}.1"
ZONE = {
    ("atlanta.example.", "NAPTR"): [
        '20 50 "s" "SIP+D2U" "" _sip._udp.atlanta.example.',
        '10 50 "s" "SIPS+D2T" "" _sips._tcp.atlanta.example.',
    ],
    ("_sips._tcp.atlanta.example.", "SRV"): ["20 0 5071 b.atlanta.example.", "10 0 5061 a.atlanta.example."],
    ("_sip._udp.atlanta.example.", "SRV"): ["10 0 5080 a.atlanta.example."],
    ("_sip._tcp.plain.example.", "SRV"): ["0 0 5070 a.atlanta.example."],
    ("a.atlanta.example.", "A"): ["198.18.0.1"],
    ("b.atlanta.example.", "A"): ["198.18.0.2"],
    ("bare.example.", "A"): ["198.18.0.4"],
    ("else.example.", "NAPTR"): [
        '10 50 "s" "SIP+D2U" "" _sip._udp.atlanta.example.',
        '20 50 "s" "SIPS+D2T" "" _sips._tcp.atlanta.example.',
    ],
    ("_sip._udp.none.example.", "SRV"): ["0 0 0 ."],
    ("none.example.", "A"): ["198.18.0.4"],
    ("_sip._udp.half.example.", "SRV"): ["0 0 5060 broken.example.", "1 0 5060 a.atlanta.example."],
    ("broken.example.", "A"): [],
}


class Names(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        query = dns.message.from_wire(data)
        question = query.question[0]
        answer = dns.message.make_response(query)
        kind = dns.rdatatype.to_text(question.rdtype)
        records = ZONE.get((str(question.name), kind))
        if records:
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *records))
        elif str(question.name) == "broken.example.":
            answer.set_rcode(2)
        elif not any(name == str(question.name) for name, _ in ZONE):
            answer.set_rcode(3)
        self.transport.sendto(answer.to_wire(), addr)


def hops(uri: str) -> list[tuple[str, str, int, str]]:
    async def script():
        loop = asyncio.get_running_loop()
        server, _ = await loop.create_datagram_endpoint(Names, local_addr=(HOST, 0))
        resolver = Resolver([HOST])
        resolver._resolver.port = server.get_extra_info("sockname")[1]
        try:
            return [(hop.transport, *hop.address, hop.domain) for hop in await resolver.hops(URI.parse(uri))]
        finally:
            server.close()

    return asyncio.run(asyncio.wait_for(script(), 20))


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sip:198.18.0.9", [("udp", "198.18.0.9", 5060)]),
        ("sips:198.18.0.9", [("tls", "198.18.0.9", 5061)]),
        ("sip:a.atlanta.example:5062;transport=tcp", [("tcp", "198.18.0.1", 5062)]),
        ("sip:atlanta.example;transport=udp", [("udp", "198.18.0.1", 5080)]),
        ("sip:atlanta.example", [("tls", "198.18.0.1", 5061), ("tls", "198.18.0.2", 5071)]),
        ("sip:plain.example", [("tcp", "198.18.0.1", 5070)]),
        ("sip:bare.example", [("udp", "198.18.0.4", 5060)]),
        ("sips:bare.example", [("tls", "198.18.0.4", 5061)]),
        ("sips:else.example", [("tls", "198.18.0.1", 5061), ("tls", "198.18.0.2", 5071)]),
        ("sip:half.example", [("udp", "198.18.0.1", 5060)]),
    ],
)
def test_rfc_3263_section_4(uri, expected):
    """The domain that TLS has to find is the one of the URI, whatever SRV says (RFC 5922 §4)."""
    domain = URI.parse(uri).host
    assert hops(uri) == [(*hop, domain) for hop in expected]


@pytest.mark.parametrize(
    "uri",
    ["sip:nowhere.example", "sip:a.atlanta.example;transport=sctp", "sip:198.18.0.9:65536", "sip:a.atlanta.example:0", "sip:none.example"],
)
def test_what_leads_nowhere_is_an_error(uri):
    """No address, a transport that is not ours, a port that is none, a service that the DNS denies (RFC 2782, a target of ".")."""
    with pytest.raises(TransportError, match=re.escape(uri)):
        hops(uri)


# -- TLS ---------------------------------------------------------------------------------------------------------------------------------


def files(folder: Path, authority: Authority, name: str, fault: str = "none") -> TlsFiles:
    issued = authority.issue(CertificateRequest(name, name, (name,), (f"sip:{name}",), fault=fault))  # type: ignore[arg-type]
    for path, data in (("ca", authority.root), (f"{name}.pem", issued.certificate), (f"{name}.key", issued.key)):
        (folder / path).write_bytes(data)
    return TlsFiles(str(folder / "ca"), str(folder / f"{name}.pem"), str(folder / f"{name}.key"), str(folder / "keylog"))


def connect(tmp_path: Path, fault: str, *, domain: str = "pa.example", client: bool = True, verify: bool = True) -> tuple[bytes, object]:
    """Dial a TLS server that wants a client certificate: what it received, and whom it saw."""
    authority = Authority()
    ours = files(tmp_path, authority, "alice.example")
    theirs = files(tmp_path, authority, "pa.example", fault)
    got: list[tuple[bytes, object]] = []

    async def script():
        seen = asyncio.Event()

        async def serve(reader, writer):
            got.append((await reader.read(100), writer.get_extra_info("peercert")))
            writer.close()
            seen.set()

        context = server_context(theirs)
        context.verify_mode = ssl.CERT_REQUIRED
        server = await asyncio.start_server(serve, HOST, 0, ssl=context)
        mine = ours if client else TlsFiles(ca=ours.ca)
        transports = Transports((HOST,), mine, lambda *_: None, lambda _: None)
        transports.verify = verify
        try:
            flow = await transports.reach(Hop("tls", (HOST, server.sockets[0].getsockname()[1]), domain))
            flow.send(b"hello")
            await asyncio.wait_for(seen.wait(), 5)
        finally:
            await transports.close()
            server.close()

    asyncio.run(asyncio.wait_for(script(), 20))
    return got[0]


def test_a_client_certificate_is_presented_and_secrets_are_logged(tmp_path):
    data, peer = connect(tmp_path, "none")
    assert data == b"hello"
    assert ("DNS", "alice.example") in peer["subjectAltName"]  # type: ignore[index]
    assert "CLIENT_TRAFFIC_SECRET_0" in (tmp_path / "keylog").read_text()


@pytest.mark.parametrize("fault", ["wrong-san", "unknown-ca", "expired", "not-yet-valid"])
def test_a_certificate_with_one_fault_gets_not_one_byte(tmp_path, fault):
    with pytest.raises(TransportError):
        connect(tmp_path, fault)
    (tmp_path / "again").mkdir()
    assert connect(tmp_path / "again", fault, verify=False)[0] == b"hello", "the misbehaviour accept-any-certificate"


def test_another_domain_than_the_one_dialled_is_refused(tmp_path):
    with pytest.raises(TransportError, match=r"not for other\.example"):
        connect(tmp_path, "none", domain="other.example")


@pytest.mark.parametrize(("domain", "dialled"), [("pa.example", 1), ("", 1), ("other.example", 2)])
def test_a_connection_is_used_again_for_who_was_found_there_and_nobody_else(tmp_path, domain, dialled):
    """RFC 5923 §8.2: whom the certificate does not name is dialled, and then refused (RFC 5922 §7)."""
    authority = Authority()
    theirs = files(tmp_path, authority, "pa.example")
    seen: list[object] = []

    async def script():
        server = await asyncio.start_server(lambda reader, writer: seen.append(writer), HOST, 0, ssl=server_context(theirs))
        transports = Transports((HOST,), TlsFiles(ca=theirs.ca), lambda *_: None, lambda _: None)
        there = (HOST, server.sockets[0].getsockname()[1])
        try:
            first = await transports.reach(Hop("tls", there, "pa.example"))
            again = Hop("tls", there, domain or HOST)
            if dialled > 1:
                with pytest.raises(TransportError, match=r"not for other\.example"):
                    await transports.reach(again)
            else:
                assert await transports.reach(again) is first
        finally:
            await transports.close()
            server.close()

    asyncio.run(asyncio.wait_for(script(), 20))
    assert len(seen) == dialled


# -- Digest ------------------------------------------------------------------------------------------------------------------------------


def hexdigest(algorithm: str, text: str) -> str:
    return hashlib.new({"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}[algorithm], text.encode()).hexdigest()


class Registrar:
    """Challenges with some algorithms, checks the answer with code of its own."""

    def __init__(self, *algorithms: str) -> None:
        self.algorithms, self.used = algorithms, ""

    def answer(self, request: Request):
        given = dict(re.findall(r'(\w+)="?([^",]+)"?', request.headers.get("Authorization") or ""))
        if given:
            self.used = given["algorithm"]
            one = hexdigest(self.used, f"alice:r:{'secret'}")
            two = hexdigest(self.used, f"REGISTER:{given['uri']}")
            right = hexdigest(self.used, f"{one}:n:{given['nc']}:{given['cnonce']}:auth:{two}")
            return respond(request, 200 if right == given["response"] else 401, tag=new_tag())
        response = respond(request, 401, "Unauthorized", tag=new_tag())
        for algorithm in self.algorithms:
            response.headers.add("WWW-Authenticate", f'Digest realm="r", nonce="n", qop="auth,auth-int", algorithm={algorithm}')
        return response


@asynccontextmanager
async def serving(server: Registrar | Server):
    """A server that answers whatever comes over TCP: its port."""

    async def serve(reader, writer):
        framer = StreamFramer()
        while data := await reader.read(4096):
            for message in framer.feed(data):
                writer.write(serialize(server.answer(parse(message))))  # type: ignore[arg-type]
        writer.close()

    listener = await asyncio.start_server(serve, HOST, 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()


async def submitted(method: str, proxy: URI, password: str, resolver: Resolver | Targets) -> int:
    """The code of the final response to a request of alice's."""
    exchange = Exchange(asyncio.get_running_loop(), lambda *_: None, lambda _: None)
    transports = Transports((HOST,), TlsFiles(), lambda data, flow: exchange.receive(parse(data), flow), lambda _: None)
    dispatch = Dispatch(transports, exchange, resolver, Misbehaviours())  # type: ignore[arg-type]
    account = Account("a1", URI.parse("sip:alice@r.example"), Credentials("alice", password), proxy, "tcp", "rtp", HOST)
    request = parse(
        f"{method} sip:r.example SIP/2.0\r\nVia: SIP/2.0/TCP x\r\nFrom: <sip:alice@r.example>;tag=1\r\n"
        f"To: <sip:alice@r.example>\r\nCall-ID: c\r\nCSeq: 1 {method}\r\n\r\n".encode()
    )
    try:
        return (await dispatch.submit(request, account, proxy)).code  # type: ignore[arg-type]
    finally:
        await transports.close()


@pytest.mark.parametrize(
    ("algorithms", "password", "code", "used"),
    [
        (("MD5",), "secret", 200, "MD5"),
        (("SHA-256", "MD5"), "secret", 200, "SHA-256"),
        (("SHA-512-256", "SHA-256", "MD5"), "secret", 200, "SHA-512-256"),
        (("SHA-3", "SHA-256"), "secret", 200, "SHA-256"),
        (("SHA-3",), "secret", 401, ""),
        (("SHA-256",), "wrong", 401, "SHA-256"),
    ],
)
def test_a_challenge_is_answered_once_with_the_topmost_known_algorithm(algorithms, password, code, used):
    """RFC 8760 §2.4; a password that is refused is not tried again (RFC 3261 §22.1)."""
    registrar = Registrar(*algorithms)

    async def script():
        async with serving(registrar) as port:
            return await submitted("REGISTER", URI.parse(f"sip:{HOST}:{port};transport=tcp"), password, Resolver([]))

    assert asyncio.run(asyncio.wait_for(script(), 20)) == code
    assert registrar.used == used


# -- failover ----------------------------------------------------------------------------------------------------------------------------


class Server:
    """Counts requests and answers all with one code; a dead one does not listen."""

    def __init__(self, code: int) -> None:
        self.code, self.asked = code, 0

    def answer(self, request: Request):
        self.asked += 1
        return respond(request, self.code, tag=new_tag())


class Targets:
    """A resolver that knows where everything leads."""

    def __init__(self, hops: list[Hop]) -> None:
        self._hops = hops

    async def hops(self, uri: URI, family: int = 4) -> list[Hop]:
        return self._hops


@pytest.mark.parametrize(
    ("codes", "code", "asked"),
    [
        ([503, 200], 200, [1, 1]),
        ([404, 200], 404, [1, 0]),
        ([503, 503], 503, [1, 1]),
        ([None, 200], 200, [0, 1]),
        ([None, 503, 200], 200, [0, 1, 1]),
        ([200, 503], 200, [1, 0]),
    ],
)
def test_who_is_dead_or_overloaded_is_passed_over(codes, code, asked):
    """RFC 3263 §4.3; any other refusal is an answer."""
    servers = [Server(each or 0) for each in codes]

    async def script():
        async with AsyncExitStack() as stack:
            ports = [await stack.enter_async_context(serving(each)) if each.code else 1 for each in servers]
            hops = [Hop("tcp", (HOST, port), "r.example") for port in ports]
            return await submitted("OPTIONS", URI.parse("sip:r.example"), "", Targets(hops))

    assert asyncio.run(asyncio.wait_for(script(), 20)) == code
    assert [each.asked for each in servers] == asked
