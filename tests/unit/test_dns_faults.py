"""What the lab's DNS does instead of telling the truth: each fault on the bytes that it sends, and in the log of queries."""

from __future__ import annotations

import asyncio
import json
import sys
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import pytest
from dns_zone import ATLANTA
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import ValidationError

from lab.plan.model import Interface
from lab.spec.dns_fault import DNS_PARAMETERS, DnsFault
from lab.spec.options import options_of

sys.path.insert(0, str(Path(__file__).parents[2] / "images" / "siplab-dns"))

from siplab_dns.__main__ import standing
from siplab_dns.control import Control
from siplab_dns.faults import KINDS, BadParams, FaultBook
from siplab_dns.server import Answerer, Server
from siplab_dns.zones import Zones

ZONE = f"""{ATLANTA}pb IN A 198.18.96.12
"""
ALICE, PA, PA6 = "198.18.96.13", "198.18.96.20", "2001:db8:60::20"
HOSTS = {"alice": [ALICE], "pa": [PA, PA6]}


@pytest.fixture
def answerer(tmp_path: Path) -> Answerer:
    (tmp_path / "atlanta.example.zone").write_text(ZONE)
    return Answerer(Zones.load(tmp_path), FaultBook(hosts=HOSTS))


def raw(answerer: Answerer, name: str = "pa.atlanta.example", rdtype: str = "A", *, tcp: bool = False, client: str = ALICE) -> Any:
    """The query and the bytes that come back."""
    query = dns.message.make_query(name, rdtype)
    return query, answerer.reply(query.to_wire(), tcp, (client, 40000)).wire


def ask(answerer: Answerer, *args: Any, **options: Any) -> dns.message.Message:
    """The answer, as a careful resolver reads it: id and question have to fit."""
    query, sent = raw(answerer, *args, **options)
    assert sent is not None
    response = dns.message.from_wire(sent)
    assert query.is_response(response)
    return response


def logged(answerer: Answerer) -> dict[str, Any]:
    return answerer.since(0, 10000)[-1]


def test_every_kind_can_be_written_in_a_topology_and_nothing_else() -> None:
    assert tuple(KINDS) == DnsFault.model_fields["kind"].annotation.__args__  # type: ignore[union-attr]
    assert {parameter: kind for kind, own in KINDS.items() for parameter in own} == DNS_PARAMETERS


@pytest.mark.parametrize(("kind", "rcode"), [("nxdomain", "NXDOMAIN"), ("servfail", "SERVFAIL"), ("no-data", "NOERROR")])
def test_an_answer_without_records_strikes_its_question_alone(answerer: Answerer, kind: str, rcode: str) -> None:
    fault = answerer.faults.set({"kind": kind, "name": "pa.atlanta.example", "type": "A"})
    struck = ask(answerer)
    assert dns.rcode.to_text(struck.rcode()) == rcode
    assert not struck.answer
    assert (logged(answerer)["rcode"], logged(answerer)["fault"]) == (rcode, fault)
    assert ask(answerer, "pa.atlanta.example", "AAAA").answer
    assert logged(answerer)["fault"] is None
    answerer.faults.clear()
    assert ask(answerer).answer


def test_an_address_of_one_family_only(answerer: Answerer) -> None:
    answerer.faults.set({"kind": "no-data", "type": "AAAA"})
    assert not ask(answerer, "pa.atlanta.example", "AAAA").answer
    assert ask(answerer).answer
    volunteered = ask(answerer, "_sips._tcp.atlanta.example", "SRV").additional
    assert [rrset.rdtype for rrset in volunteered] == [dns.rdatatype.A]


def test_drop_is_silence(answerer: Answerer) -> None:
    answerer.faults.set({"kind": "drop"})
    assert raw(answerer)[1] is None
    assert logged(answerer)["rcode"] is None


def test_delay_is_the_truth_later(answerer: Answerer) -> None:
    right = answerer.reply(dns.message.make_query("pa.atlanta.example", "A", id=7).to_wire(), False, (ALICE, 1))
    answerer.faults.set({"kind": "delay", "seconds": 0.2})
    late = answerer.reply(dns.message.make_query("pa.atlanta.example", "A", id=7).to_wire(), False, (ALICE, 1))
    assert (right.delay, late.delay, late.wire) == (0.0, 0.2, right.wire)


def test_truncation_sends_the_client_to_tcp(answerer: Answerer) -> None:
    answerer.faults.set({"kind": "truncate"})
    cut = ask(answerer)
    assert cut.flags & dns.flags.TC
    assert not cut.answer
    assert ask(answerer, tcp=True).answer


def test_truncation_can_be_a_dead_end(answerer: Answerer) -> None:
    answerer.faults.set({"kind": "truncate", "tcp": False})
    assert ask(answerer).flags & dns.flags.TC
    assert raw(answerer, tcp=True)[1] is None


def test_the_id_of_another_query(answerer: Answerer) -> None:
    answerer.faults.set({"kind": "wrong-id"})
    query, sent = raw(answerer)
    assert sent[:2] == (query.id ^ 0xFFFF).to_bytes(2)
    assert dns.message.from_wire(sent).answer


def test_the_answer_to_another_question(answerer: Answerer) -> None:
    answerer.faults.set({"kind": "wrong-question"})
    query, sent = raw(answerer)
    response = dns.message.from_wire(sent)
    assert not query.is_response(response)
    assert response.id == query.id
    assert response.answer[0].name == response.question[0].name != query.question[0].name


@pytest.mark.parametrize("rdtype", ["A", "AAAA", "SRV", "NAPTR"])
def test_records_of_another_name(answerer: Answerer, rdtype: str) -> None:
    answerer.faults.set({"kind": "wrong-answer"})
    response = ask(answerer, "pa.atlanta.example", rdtype)
    assert [(rrset.rdtype, str(rrset.name)) for rrset in response.answer] == [
        (dns.rdatatype.from_text(rdtype), "unrelated.siplab.example.")
    ]


def test_aliases_in_a_circle(answerer: Answerer) -> None:
    answerer.faults.set({"kind": "cname-loop", "name": "*.atlanta.example"})
    response = ask(answerer)
    assert [(str(r.name), str(r[0].target)) for r in response.answer] == [
        ("pa.atlanta.example.", "loop.pa.atlanta.example."),
        ("loop.pa.atlanta.example.", "pa.atlanta.example."),
    ]


def test_a_lame_server_knows_nothing_and_says_whom_to_ask(answerer: Answerer) -> None:
    answerer.faults.set({"kind": "lame"})
    response = ask(answerer)
    assert response.rcode() == dns.rcode.NOERROR
    assert not response.flags & dns.flags.AA
    assert not response.answer
    assert [(str(rrset.name), rrset.rdtype) for rrset in response.authority] == [(".", dns.rdatatype.NS)]


def test_answers_that_must_not_be_kept(answerer: Answerer) -> None:
    answerer.faults.set({"kind": "ttl-zero"})
    response = ask(answerer, "atlanta.example", "NAPTR")
    assert response.answer[0][0].service == b"SIPS+D2T"
    assert {rrset.ttl for rrset in response.answer} == {0}


def test_more_bytes_than_the_client_takes(answerer: Answerer) -> None:
    answerer.faults.set({"kind": "oversized", "size": 3000})
    _, sent = raw(answerer)
    assert 3000 <= len(sent) <= 3300
    response = dns.message.from_wire(sent)
    assert not response.flags & dns.flags.TC
    assert response.answer[0][0].address == "198.18.96.11"


def test_too_many_records_are_cut_by_the_rule(answerer: Answerer) -> None:
    records = [{"type": "SRV", "data": f"{n} 0 5060 target-number-{n}.atlanta.example."} for n in range(40)]
    answerer.faults.set({"kind": "override", "name": "_sip._udp.atlanta.example", "type": "SRV", "records": records})
    cut = ask(answerer, "_sip._udp.atlanta.example", "SRV")
    assert cut.flags & dns.flags.TC
    assert len(cut.to_wire()) <= 512
    assert sum(len(rrset) for rrset in ask(answerer, "_sip._udp.atlanta.example", "SRV", tcp=True).answer) == 40


def test_poison_reaches_additional_sections_too(answerer: Answerer) -> None:
    record = {"type": "SRV", "data": "0 0 5061 mallory.siplab.example."}
    answerer.faults.set({"kind": "override", "name": "_sips._tcp.atlanta.example", "type": "SRV", "records": [record]})
    assert str(ask(answerer, "_sips._tcp.atlanta.example", "SRV").answer[0][0].target) == "mallory.siplab.example."
    assert not [rrset for rrset in ask(answerer, "atlanta.example", "NAPTR").additional if rrset.rdtype == dns.rdatatype.SRV]


# -- whom it strikes, and how often ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "struck"),
    [
        ("pa.atlanta.example", ["pa"]),
        ("*.atlanta.example", ["pa", "pb"]),
        ("*atlanta.example", ["", "pa", "pb"]),
        ("P?.Atlanta.example.", ["pa", "pb"]),
    ],
)
def test_names_are_globs(answerer: Answerer, name: str, struck: list[str]) -> None:
    answerer.faults.set({"kind": "servfail", "name": name})
    asked = {label: ask(answerer, f"{label}.atlanta.example".lstrip(".")).rcode() for label in ("", "pa", "pb")}
    assert [label for label, rcode in asked.items() if rcode == dns.rcode.SERVFAIL] == struck


@pytest.mark.parametrize(("source", "clients"), [("alice", [ALICE]), ("pa", [PA, PA6]), ("198.18.96.0/24", [ALICE, PA]), (PA6, [PA6])])
def test_one_client_is_told_another_story(answerer: Answerer, source: str, clients: list[str]) -> None:
    answerer.faults.set({"kind": "nxdomain", "source": source})
    lied_to = [client for client in (ALICE, PA, PA6) if ask(answerer, client=client).rcode() == dns.rcode.NXDOMAIN]
    assert lied_to == clients


def test_a_fault_can_be_used_up_and_the_newest_wins(answerer: Answerer) -> None:
    answerer.faults.set({"kind": "servfail", "name": "*.atlanta.example"})
    answerer.faults.set({"kind": "nxdomain", "times": 1})
    assert [ask(answerer).rcode() for _ in range(2)] == [dns.rcode.NXDOMAIN, dns.rcode.SERVFAIL]
    assert ask(answerer, "atlanta.example", "NS").rcode() == dns.rcode.NOERROR


def test_flapping(answerer: Answerer) -> None:
    answerer.faults.set({"kind": "servfail", "every": 2})
    rcodes = [dns.rcode.to_text(ask(answerer).rcode()) for _ in range(4)]
    assert rcodes == ["SERVFAIL", "NOERROR", "SERVFAIL", "NOERROR"]


def test_answers_are_remembered_no_longer_than_a_fault_changes(answerer: Answerer) -> None:
    assert len(ask(answerer, "_sips._tcp.atlanta.example", "SRV").additional) == 2
    fault = answerer.faults.set({"kind": "drop", "type": "AAAA"})
    assert len(ask(answerer, "_sips._tcp.atlanta.example", "SRV").additional) == 1
    answerer.faults.clear(fault)
    assert len(ask(answerer, "_sips._tcp.atlanta.example", "SRV").additional) == 2


def test_an_element_is_meant_with_all_addresses_that_it_has() -> None:
    both = Interface("internet", IPv4Address("198.18.0.31"), IPv6Address("2001:db8::31"))
    home = Interface("home", IPv4Address("10.64.1.31"), None)
    elements = [SimpleNamespace(name="alice", interfaces=(both, home)), SimpleNamespace(name="bob", interfaces=(home,))]
    folder = FileSystemLoader(Path(__file__).parents[2] / "images" / "siplab-dns")
    environment = Environment(loader=folder, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    text = environment.get_template("faults.json.j2").render(plan={"elements": elements}, element={"options": {"faults": []}})
    hosts = json.loads(text)["hosts"]
    assert hosts == {"alice": ["198.18.0.31", "2001:db8::31", "10.64.1.31"], "bob": ["10.64.1.31"]}
    FaultBook(hosts=hosts).set({"kind": "drop", "source": "bob"})


def test_a_request_is_answered_whatever_is_in_it(answerer: Answerer) -> None:
    control = Control(answerer, [], lambda: None)
    for kind in ([], {}):
        answer = control.handle(json.dumps({"id": 1, "method": "fault.set", "params": {"kind": kind}}).encode())
        assert (answer["id"], answer["error"]["code"]) == (1, "vendor")
    assert control.handle(b'{"id": 2, "method": "hello"}')["id"] == 2


def test_faults_of_the_topology_stand_after_a_reset(tmp_path: Path, answerer: Answerer) -> None:
    options = options_of(
        "dns", {"faults": ({"kind": "delay", "seconds": 2, "source": "pa"}, {"kind": "override", "type": "NAPTR", "records": ()})}
    )
    file = tmp_path / "faults.json"
    file.write_text(json.dumps({"hosts": HOSTS, "faults": options["faults"]}))
    book = answerer.faults = standing(file)
    book.set({"kind": "drop"})
    answerer.forget()
    assert answerer.reply(dns.message.make_query("pa.atlanta.example", "A").to_wire(), False, (PA, 1)).delay == 2
    assert not ask(answerer, "atlanta.example", "NAPTR").answer
    assert ask(answerer).answer


@pytest.mark.parametrize(
    ("params", "member"),
    [
        ({}, "kind"),
        ({"kind": "lie"}, "kind"),
        ({"kind": "drop", "name": 5}, "name"),
        ({"kind": "drop", "name": "a..b"}, "name"),
        ({"kind": "drop", "type": "PHONE"}, "type"),
        ({"kind": "drop", "source": "mallory"}, "source"),
        ({"kind": "drop", "times": 0}, "times"),
        ({"kind": "drop", "times": True}, "times"),
        ({"kind": "drop", "every": 0}, "every"),
        ({"kind": "drop", "nmae": "pa"}, "nmae"),
        ({"kind": "drop", "seconds": 1}, "seconds"),
        ({"kind": "delay"}, "seconds"),
        ({"kind": "delay", "seconds": 31}, "seconds"),
        ({"kind": "truncate", "tcp": 1}, "tcp"),
        ({"kind": "oversized", "size": 70000}, "size"),
        ({"kind": "override"}, "records"),
        ({"kind": "override", "name": "a.test", "records": [{"type": "A"}]}, "records.data"),
        ({"kind": "override", "name": "a.test", "records": [{"type": "A", "data": "999"}]}, "records"),
        ({"kind": "override", "name": "*.test", "records": [{"type": "A", "data": "198.18.0.1"}]}, "records.name"),
        ({"kind": "override", "records": [{"type": "A", "data": "198.18.0.1"}]}, "records.name"),
    ],
)
def test_a_wrong_fault_names_the_member(params: dict[str, Any], member: str) -> None:
    with pytest.raises(BadParams, match=f"^{member}: "):
        FaultBook(hosts=HOSTS).set(params)


@pytest.mark.parametrize(
    "fault", [{"kind": "drop", "seconds": 1}, {"kind": "delay"}, {"kind": "override"}, {"kind": "lie"}, {"kind": "drop", "nmae": "x"}]
)
def test_a_wrong_fault_is_an_error_in_a_topology_too(fault: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        options_of("dns", {"faults": (fault,)})


# -- through sockets ---------------------------------------------------------------------------------------------------------------


def test_a_slow_name_does_not_slow_another(answerer: Answerer) -> None:
    answerer.faults.set({"kind": "delay", "name": "pb.atlanta.example", "seconds": 0.3})

    async def scenario() -> list[str]:
        server = Server(answerer, port=0, hosts=("127.0.0.1",))
        port = await server.start()
        order: list[str] = []

        async def one(name: str) -> None:
            answer = await dns.asyncquery.udp(dns.message.make_query(f"{name}.atlanta.example", "A"), "127.0.0.1", timeout=5, port=port)
            order.append(name if answer.answer else "")

        await asyncio.gather(one("pb"), one("pa"))
        server.close()
        return order

    assert asyncio.run(scenario()) == ["pa", "pb"]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "drop"}, dns.exception.Timeout),
        ({"kind": "wrong-id"}, dns.query.BadResponse),
        ({"kind": "wrong-question"}, dns.query.BadResponse),
        ({"kind": "truncate", "tcp": False}, dns.exception.Timeout),
    ],
)
def test_a_client_over_sockets_has_no_answer(answerer: Answerer, fault: dict[str, Any], error: type[Exception]) -> None:
    answerer.faults.set(fault)

    async def scenario() -> None:
        server = Server(answerer, port=0, hosts=("127.0.0.1",))
        port = await server.start()
        try:
            await dns.asyncquery.udp_with_fallback(dns.message.make_query("pa.atlanta.example", "A"), "127.0.0.1", timeout=0.5, port=port)
        finally:
            server.close()

    with pytest.raises(error):
        asyncio.run(scenario())
