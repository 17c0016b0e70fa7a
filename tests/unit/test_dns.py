"""The lab's DNS: right answers, wrong answers on request, and bytes that are no queries at all."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import dns.asyncquery
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import pytest
from dns_zone import APEX, ATLANTA
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[2] / "images" / "siplab-dns"))

from siplab_dns.control import Control
from siplab_dns.server import Answerer, Server
from siplab_dns.zones import ZoneError, Zones

ZONE = f"""{ATLANTA}*.wild IN A 198.18.96.99
deep.empty IN A 198.18.96.98
alias IN CNAME pa
away IN CNAME ns.siplab.example.
dangling IN CNAME nobody
out IN CNAME www.elsewhere.test.
loop1 IN CNAME loop2
loop2 IN CNAME loop1
"""
SIPLAB = """$ORIGIN siplab.example.
$TTL 5
@ IN SOA ns h 1 60 60 600 5
@ IN NS ns
ns IN A 198.18.96.10
"""
BIG = "\n".join(f"big IN TXT {'x' * 200}{n}" for n in range(20)) + "\n"


@pytest.fixture
def zones(tmp_path: Path) -> Zones:
    (tmp_path / "atlanta.example.zone").write_text(ZONE + BIG)
    (tmp_path / "siplab.example.zone").write_text(SIPLAB)
    return Zones.load(tmp_path)


@pytest.fixture
def answerer(zones: Zones) -> Answerer:
    return Answerer(zones)


def wire(name: str, rdtype: str = "A", **options: Any) -> bytes:
    return dns.message.make_query(name, rdtype, **options).to_wire()


def ask(answerer: Answerer, name: str, rdtype: str = "A", *, tcp: bool = False, **options: Any) -> dns.message.Message:
    query = wire(name, rdtype, **options)
    sent = answerer.reply(query, tcp, ("198.18.96.13", 40000)).wire
    assert sent is not None
    assert sent[:2] == query[:2]
    return dns.message.from_wire(sent)


def texts(section: list[Any]) -> list[str]:
    return sorted(line for rrset in section for line in rrset.to_text().splitlines())


def test_an_address(answerer: Answerer) -> None:
    response = ask(answerer, "pa.atlanta.example")
    assert response.rcode() == dns.rcode.NOERROR
    assert response.flags & dns.flags.AA
    assert not response.flags & dns.flags.RA
    assert texts(response.answer) == ["pa.atlanta.example. 5 IN A 198.18.96.11"]


TWO_PLACES = f"""{APEX}_sip._udp IN SRV 10 0 5060 border
border IN A 198.18.96.60
border IN AAAA 2001:db8:60::60
border IN A 198.18.97.60
border IN AAAA 2001:db8:61::60
"""


@pytest.mark.parametrize(
    ("client", "ipv4", "ipv6"),
    [
        ("198.18.96.13", "198.18.96.60", "2001:db8:60::60"),
        ("198.18.97.13", "198.18.97.60", "2001:db8:61::60"),
        ("2001:db8:61::13", "198.18.97.60", "2001:db8:61::60"),
        ("10.64.1.13", "198.18.96.60", "2001:db8:60::60"),
    ],
)
def test_a_host_on_two_networks_is_told_by_its_address_there(tmp_path: Path, client: str, ipv4: str, ipv6: str) -> None:
    (tmp_path / "atlanta.example.zone").write_text(TWO_PLACES)
    (tmp_path / "networks").write_text("198.18.96.0/24 2001:db8:60::/64\n198.18.97.0/24 2001:db8:61::/64\n")
    answerer = Answerer(Zones.load(tmp_path))
    for asker in ("198.18.96.1", client):  # the second time out of the cache, were it one for all
        sent = answerer.reply(wire("_sip._udp.atlanta.example", "SRV"), False, (asker, 1)).wire
    assert sent is not None
    addresses = [rdata.address for rrset in dns.message.from_wire(sent).additional for rdata in rrset]
    assert addresses == [ipv4, ipv6]


def test_names_have_no_case(answerer: Answerer) -> None:
    assert ask(answerer, "PA.Atlanta.EXAMPLE").answer[0][0].address == "198.18.96.11"


def test_additional_section_answers_the_next_questions(answerer: Answerer) -> None:
    assert texts(ask(answerer, "atlanta.example", "NAPTR").additional) == [
        "_sips._tcp.atlanta.example. 5 IN SRV 10 0 5061 pa.atlanta.example.",
        "pa.atlanta.example. 5 IN A 198.18.96.11",
        "pa.atlanta.example. 5 IN AAAA 2001:db8:60::11",
    ]
    assert len(ask(answerer, "_sips._tcp.atlanta.example", "SRV").additional) == 2
    assert texts(ask(answerer, "atlanta.example", "NS").additional) == ["ns.siplab.example. 5 IN A 198.18.96.10"]


@pytest.mark.parametrize(
    ("name", "rdtype", "rcode"),
    [
        ("nobody.atlanta.example", "A", "NXDOMAIN"),
        ("pa.atlanta.example", "TXT", "NOERROR"),
        ("empty.atlanta.example", "A", "NOERROR"),  # an empty non-terminal exists
        ("wild.atlanta.example", "A", "NOERROR"),
        ("dangling.atlanta.example", "A", "NXDOMAIN"),  # RFC 6604
    ],
)
def test_negative_answers_carry_the_soa(answerer: Answerer, name: str, rdtype: str, rcode: str) -> None:
    response = ask(answerer, name, rdtype)
    assert dns.rcode.to_text(response.rcode()) == rcode
    assert response.flags & dns.flags.AA
    assert response.authority[0].rdtype == dns.rdatatype.SOA
    assert response.authority[0].ttl == 3  # RFC 2308 §3: the lesser of TTL and minimum


@pytest.mark.parametrize(("name", "found"), [("a.wild", True), ("b.a.wild", True), ("deep.empty", True), ("x.empty", False)])
def test_wildcards(answerer: Answerer, name: str, found: bool) -> None:
    assert bool(ask(answerer, f"{name}.atlanta.example").answer) == found


def test_aliases_are_followed_across_zones(answerer: Answerer) -> None:
    assert texts(ask(answerer, "away.atlanta.example").answer) == [
        "away.atlanta.example. 5 IN CNAME ns.siplab.example.",
        "ns.siplab.example. 5 IN A 198.18.96.10",
    ]
    assert len(ask(answerer, "alias.atlanta.example", "CNAME").answer) == 1


@pytest.mark.parametrize("name", ["loop1", "out"])
def test_aliases_that_lead_nowhere_end(answerer: Answerer, name: str) -> None:
    response = ask(answerer, f"{name}.atlanta.example")
    assert response.rcode() == dns.rcode.NOERROR
    assert all(rrset.rdtype == dns.rdatatype.CNAME for rrset in response.answer)


@pytest.mark.parametrize(
    ("name", "rdtype", "target"),
    [("_sips._tcp.atlanta.example", "SRV", "pa.atlanta.example"), ("atlanta.example", "NAPTR", "_sips._tcp.atlanta.example")],
)
def test_targets_are_not_compressed(answerer: Answerer, name: str, rdtype: str, target: str) -> None:
    """RFC 2782, RFC 3403 §4.1."""
    data = answerer.reply(wire(name, rdtype), False, ("198.18.96.13", 40000)).wire
    assert data
    assert dns.name.from_text(target).to_wire() in data


def test_other_peoples_names_are_refused(answerer: Answerer) -> None:
    response = ask(answerer, "www.elsewhere.test")
    assert response.rcode() == dns.rcode.REFUSED
    assert not response.flags & dns.flags.AA


def test_any_has_everything(answerer: Answerer) -> None:
    assert {rrset.rdtype for rrset in ask(answerer, "pa.atlanta.example", "ANY").answer} == {dns.rdatatype.A, dns.rdatatype.AAAA}


def test_what_is_too_long_is_cut_on_udp_alone(answerer: Answerer) -> None:
    cut = ask(answerer, "big.atlanta.example", "TXT")
    assert cut.flags & dns.flags.TC
    assert not cut.answer
    assert ask(answerer, "big.atlanta.example", "TXT", use_edns=0, payload=4096).flags & dns.flags.TC
    whole = ask(answerer, "big.atlanta.example", "TXT", tcp=True)
    assert not whole.flags & dns.flags.TC
    assert len(whole.answer[0]) == 20


def test_edns(answerer: Answerer) -> None:
    assert ask(answerer, "pa.atlanta.example", use_edns=0).edns == 0
    assert ask(answerer, "pa.atlanta.example").edns == -1
    assert ask(answerer, "pa.atlanta.example", use_edns=1).rcode() == dns.rcode.BADVERS


def test_cached_answers_have_their_own_id(answerer: Answerer) -> None:
    for number in (1, 2):
        response = ask(answerer, "pa.atlanta.example", id=number)
        assert (response.id, len(response.answer)) == (number, 1)


@pytest.mark.parametrize("data", [b"", b"\x00" * 11, b"\x12\x34\x80\x00" + bytes(8), b"\xff" * 12])
def test_no_query_no_answer(answerer: Answerer, data: bytes) -> None:
    assert answerer.reply(data, False, ("198.18.96.13", 1)).wire is None


def test_an_ill_formed_query_is_told_so(answerer: Answerer) -> None:
    good = wire("pa.atlanta.example")
    for bad in (good[:-3], good[:12] + b"\xc0\x0c" + good[12:], good[:4] + b"\x00\x09" + good[6:]):
        sent = answerer.reply(bad, False, ("198.18.96.13", 1)).wire
        assert sent is not None
        assert sent[:2] == good[:2]
        assert sent[3] & 15 == dns.rcode.FORMERR


@given(data=st.binary(max_size=80), start=st.integers(0, 40))
def test_no_bytes_raise(tmp_path_factory: pytest.TempPathFactory, data: bytes, start: int) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "atlanta.example.zone").write_text(ZONE)
    answerer = Answerer(Zones.load(folder))
    answerer.reply(data, False, ("198.18.96.13", 1))
    answerer.reply(wire("pa.atlanta.example")[:start] + data, True, ("198.18.96.13", 1))


@pytest.mark.parametrize("content", ["", "@ IN A 198.18.96.1\n", "not a zone"])
def test_a_folder_that_cannot_be_served(tmp_path: Path, content: str) -> None:
    with pytest.raises(ZoneError):
        Zones.load(tmp_path)
    (tmp_path / "x.example.zone").write_text(content)
    with pytest.raises(ZoneError, match=r"x\.example\.zone"):
        Zones.load(tmp_path)


# -- control -----------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def call(answerer: Answerer) -> Callable[..., dict[str, Any]]:
    control = Control(answerer, ["atlanta.example"], lambda: None)

    def request(method: object, **params: object) -> dict[str, Any]:
        response = control.handle(json.dumps({"id": 7, "method": method, "params": params}).encode())
        assert response["id"] == 7
        return response

    return request


def test_control_speaks_the_contract(call: Callable[..., dict[str, Any]]) -> None:
    assert call("hello")["result"]["contract"] == 1
    for method in ("xyzzy", None, 5):
        assert call(method)["error"]["code"] == "unsupported"
    assert call("fault.set", kind="lie")["error"]["code"] == "bad-params"
    assert call("fault.clear", fault="f9")["error"]["code"] == "bad-params"


@pytest.mark.parametrize("line", [b"junk", b"[]", b"\xff", b'{"id":1,"method":"hello","params":[1]}'])
def test_control_survives_what_is_no_request(answerer: Answerer, line: bytes) -> None:
    assert Control(answerer, [], lambda: None).handle(line)["error"]["code"] == "bad-params"


def test_queries_are_told_and_reset_forgets(answerer: Answerer, call: Callable[..., dict[str, Any]]) -> None:
    fault = call("fault.set", kind="drop", type="TXT")["result"]["fault"]
    ask(answerer, "pa.atlanta.example")
    answerer.reply(wire("pa.atlanta.example", "TXT"), True, ("2001:db8::1", 2))
    first, second = call("queries")["result"]["queries"]
    assert (first["name"], first["type"], first["rcode"], first["fault"]) == ("pa.atlanta.example", "A", "NOERROR", None)
    assert (second["transport"], second["client"], second["rcode"], second["fault"]) == ("tcp", "2001:db8::1", None, fault)
    assert call("queries", after=1)["result"] == {"queries": [second], "more": False}
    call("reset")
    assert call("queries")["result"]["queries"] == []
    assert ask(answerer, "pa.atlanta.example", "TXT").rcode() == dns.rcode.NOERROR


# -- sockets -----------------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def serving(answerer: Answerer, host: str) -> AsyncIterator[int]:
    server = Server(answerer, port=0, hosts=(host,))
    port = await server.start()
    try:
        yield port
    finally:
        server.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_over_real_sockets(answerer: Answerer, host: str) -> None:
    async def scenario() -> None:
        async with serving(answerer, host) as port:
            query = dns.message.make_query("big.atlanta.example", "TXT")
            response, over_tcp = await dns.asyncquery.udp_with_fallback(query, host, timeout=5, port=port)
            assert over_tcp
            assert len(response.answer[0]) == 20
            reader, writer = await asyncio.open_connection(host, port)
            for number in (1, 2):  # RFC 7766 §6.2.1: one connection, many queries
                asked = dns.message.make_query("pa.atlanta.example", "A", id=number).to_wire()
                writer.write(len(asked).to_bytes(2) + asked)
                got = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                assert dns.message.from_wire(got).id == number
            writer.close()

    asyncio.run(scenario())


def test_junk_on_a_socket_leaves_it_serving(answerer: Answerer) -> None:
    async def scenario() -> None:
        async with serving(answerer, "127.0.0.1") as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"\x00\x00\x00\x03abc")
            writer.write_eof()
            assert await reader.read() == b""
            query = dns.message.make_query("pa.atlanta.example", "A")
            assert (await dns.asyncquery.udp(query, "127.0.0.1", timeout=5, port=port)).answer

    asyncio.run(scenario())
