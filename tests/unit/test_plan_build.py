"""The plan: what it decides, that it decides the same again, and what it refuses."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from itertools import pairwise
from pathlib import Path

import dns.zone
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spec_fixtures import TOPOLOGY, loaded, rewritten

from lab.errors import PlanError
from lab.plan.addresses import Lease, interface
from lab.plan.binding import Selection
from lab.plan.build import make_plan
from lab.plan.identity import TONES_HZ
from lab.plan.model import CertificateRequest, Listener, Network, Plan, Zone
from lab.plan.show import plan_tables, plan_to_dict
from lab.spec.catalog import load_topology
from lab.spec.topology import Topology
from lab.spec.vendor import Vendor

BINDING = {"bob": Selection("initech", "2.0")}
DTMF_HZ = (697, 770, 852, 941, 1209, 1336, 1477, 1633)


def planned(root: Path, text: str) -> Plan:
    """Of a new project whose topology is this text."""
    topology, vendors = loaded(root, text)
    return make_plan(topology, BINDING, vendors)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return planned(tmp_path, TOPOLOGY)


def records(zone: Zone) -> list[str]:
    return [f"{record.name} {record.type} {record.data}" for record in zone.records]


def zone(plan: Plan, origin: str) -> Zone:
    return next(zone for zone in plan.zones if zone.origin == origin)


def test_addresses(plan: Plan) -> None:
    assert plan.networks == (Network("internet", IPv4Network("198.18.0.0/24"), IPv6Network("2001:db8:0:1::/64")),)
    assert {element.name: (str(element.ipv4), str(element.ipv6)) for element in plan.elements} == {
        "dns": ("198.18.0.10", "2001:db8:0:1::10"),
        "pa": ("198.18.0.20", "2001:db8:0:1::20"),
        "pb": ("198.18.0.21", "2001:db8:0:1::21"),
        "alice": ("198.18.0.30", "2001:db8:0:1::30"),
        "bob": ("198.18.0.31", "2001:db8:0:1::31"),
    }


def test_elements(plan: Plan) -> None:
    assert [(e.name, e.vendor, e.flavour, e.hostname, e.domain) for e in plan.elements] == [
        ("dns", "names", "1.1", "ns.siplab.example", None),
        ("pa", "globex", "1.1", "pa.atlanta.example", "atlanta.example"),
        ("pb", "globex", "2.0", "pb.biloxi.example", "biloxi.example"),
        ("alice", "acme", "1.1", "alice.atlanta.example", "atlanta.example"),
        ("bob", "initech", "2.0", "bob.biloxi.example", "biloxi.example"),
    ]
    assert [element.tone_hz for element in plan.elements] == [None, None, None, 440, 880]
    assert plan.matrix == (("alice", "bob"), ("pa", "pb"))
    assert plan.with_role("proxy") == (plan.element("pa"), plan.element("pb"))


def test_listeners(plan: Plan) -> None:
    assert plan.element("pa").listeners == (
        Listener("udp", 5060, "pa.atlanta.example"),
        Listener("tcp", 5060, "pa.atlanta.example"),
        Listener("tls", 5061, "pa.atlanta.example", "pa"),
        Listener("tls", 5071, "wrong-san.atlanta.example", "wrong-san"),
        Listener("tls", 5072, "expired.atlanta.example", "expired"),
    )
    assert [listener.transport for listener in plan.element("pb").listeners] == ["tcp", "tls"], "globex@2.0 declares no udp"
    assert plan.element("dns").listeners == plan.element("alice").listeners == ()


def test_certificates(plan: Plan) -> None:
    """RFC 5922 §7.1: the domain as DNS name and as SIP URI."""
    good, wrong, expired = plan.element("pa").certificates
    assert good == CertificateRequest(
        "pa", "pa.atlanta.example", ("pa.atlanta.example", "atlanta.example"), ("sip:atlanta.example", "sip:pa.atlanta.example")
    )
    assert wrong.fault == "wrong-san"
    assert expired == CertificateRequest(
        "expired", "expired.atlanta.example", ("expired.atlanta.example",), ("sip:expired.atlanta.example",), fault="expired"
    )
    assert plan.element("bob").certificates == (
        CertificateRequest("bob", "bob@biloxi.example", (), ("sip:bob@biloxi.example",), usage="user"),
    )
    assert plan.element("dns").certificates == ()
    for element in plan.elements:
        names = {request.name for request in element.certificates}
        assert {listener.certificate for listener in element.listeners} - {None} <= names


def test_domains_and_credentials(plan: Plan) -> None:
    assert [(domain.name, domain.proxy) for domain in plan.domains] == [("atlanta.example", "pa"), ("biloxi.example", "pb")]
    alice, bob = plan.element("alice").account, plan.element("bob").account
    assert alice is not None
    assert bob is not None
    assert plan.domain("atlanta.example").accounts == (alice,)
    assert alice.aor == "sip:alice@atlanta.example"
    assert len(alice.password) == len(bob.password) == 20
    assert alice.password != bob.password


def test_zones(plan: Plan) -> None:
    assert [zone.origin for zone in plan.zones] == ["atlanta.example", "biloxi.example", "siplab.example"]
    assert records(zone(plan, "biloxi.example")) == [
        "@ SOA ns.siplab.example. hostmaster.siplab.example. 1 60 60 600 5",
        "@ NS ns.siplab.example.",
        '@ NAPTR 10 50 "s" "SIPS+D2T" "" _sips._tcp.biloxi.example.',
        '@ NAPTR 20 50 "s" "SIP+D2T" "" _sip._tcp.biloxi.example.',
        "_sips._tcp SRV 10 60 5061 pb.biloxi.example.",
        "_sip._tcp SRV 10 60 5060 pb.biloxi.example.",
        "pb A 198.18.0.21",
        "pb AAAA 2001:db8:0:1::21",
        "bob A 198.18.0.31",
        "bob AAAA 2001:db8:0:1::31",
    ]
    assert records(zone(plan, "siplab.example"))[2:] == ["ns A 198.18.0.10", "ns AAAA 2001:db8:0:1::10"]


def test_backup_servers_come_later_and_speak_for_the_domain_too(tmp_path: Path) -> None:
    plan = planned(tmp_path, TOPOLOGY.replace("atlanta.example: {proxy: pa}", "atlanta.example: {proxy: pa, backup: [pb]}"))
    found = records(zone(plan, "atlanta.example"))
    assert [line for line in found if "_sip._tcp" in line and "SRV" in line] == [
        "_sip._tcp SRV 10 60 5060 pa.atlanta.example.",
        "_sip._tcp SRV 20 60 5060 pb.biloxi.example.",
    ]
    assert len([line for line in found if line.startswith("@ NAPTR")]) == 3
    assert plan.domain("atlanta.example").servers == ("pa", "pb")
    assert plan.element("pb").hostname == "pb.biloxi.example"
    assert plan.element("pb").certificates[0].uris == ("sip:biloxi.example", "sip:atlanta.example", "sip:pb.biloxi.example")


def test_faulty_hosts_can_be_dialled_by_name(plan: Plan) -> None:
    found = records(zone(plan, "atlanta.example"))
    assert 'expired NAPTR 10 50 "s" "SIPS+D2T" "" _sips._tcp.expired.atlanta.example.' in found
    assert "_sips._tcp.expired SRV 10 60 5072 expired.atlanta.example." in found
    assert "expired A 198.18.0.20" in found
    assert "expired AAAA 2001:db8:0:1::20" in found


def test_user_agents_share_an_address_of_record(tmp_path: Path) -> None:
    """One subscriber; each with its own host, certificate and tone."""
    topology, vendors = loaded(tmp_path)
    text = TOPOLOGY.replace("bob@biloxi", "alice@biloxi").replace("alice@atlanta", "alice@biloxi")
    plan = make_plan(rewritten(tmp_path, text), BINDING, vendors)
    one, two = plan.element("alice"), plan.element("bob")
    assert plan.domain("biloxi.example").accounts == (one.account,)
    assert one.account == two.account
    assert (one.hostname, two.hostname, one.tone_hz, two.tone_hz) == ("alice.biloxi.example", "bob.biloxi.example", 440, 880)
    assert topology.elements["alice"].aor != topology.elements["bob"].aor, "the plain one has two"


def test_a_transit_is_what_the_dns_names(tmp_path: Path) -> None:
    plan = planned(tmp_path, TOPOLOGY.replace("{proxy: pb}", "{proxy: pb, transit: pa}"))
    found = records(zone(plan, "biloxi.example"))
    assert "_sips._tcp SRV 10 60 5061 pa.atlanta.example." in found
    assert not any("SRV" in record and "pb." in record for record in found)
    assert plan.domain("biloxi.example").transit == "pa"
    assert plan.element("pa").certificates[0].dns_names == ("pa.atlanta.example", "atlanta.example", "biloxi.example")
    assert plan.element("pb").certificates[0].dns_names == ("pb.biloxi.example", "biloxi.example")


def test_edges_are_how_user_agents_enter_and_nobody_else(tmp_path: Path) -> None:
    plan = planned(tmp_path, TOPOLOGY.replace("{proxy: pb}", "{proxy: pa, edges: [pb]}"))
    assert (plan.domain("biloxi.example").entrances, plan.domain("atlanta.example").entrances) == (("pb",), ("pa",))
    assert plan.fronted_by("pb") == (plan.domain("biloxi.example"),)
    assert not plan.fronted_by("pa")
    assert plan.element("pb").hostname == "pb.siplab.example"
    assert plan.element("pb").certificates[0].dns_names == ("pb.siplab.example",)
    assert not any("SRV" in record and "pb." in record for record in records(zone(plan, "biloxi.example")))


def test_a_host_on_several_networks_has_an_address_of_each_the_first_network_first(tmp_path: Path) -> None:
    topology, vendors = loaded(tmp_path)
    pa = topology.elements["pa"].model_copy(update={"networks": ("core", "internet"), "presents": ()})
    networks = {**topology.networks, "core": topology.networks["internet"]}
    wider = topology.model_copy(update={"networks": networks, "elements": {**topology.elements, "pa": pa}})
    found = records(zone(make_plan(wider, BINDING, vendors), "atlanta.example"))
    addresses = [line for line in found if line.startswith("pa ")]
    assert addresses == ["pa A 198.18.1.20", "pa AAAA 2001:db8:0:2::20", "pa A 198.18.0.20", "pa AAAA 2001:db8:0:1::20"]


def test_zones_parse(plan: Plan) -> None:
    for each in plan.zones:
        text = "\n".join(f"{record.name} {record.ttl} IN {record.type} {record.data}" for record in each.records)
        parsed = dns.zone.from_text(text, origin=f"{each.origin}.", relativize=False)
        assert sum(len(rdataset) for _, rdataset in parsed.iterate_rdatasets()) == len(each.records)


def test_shown_and_serialised(plan: Plan) -> None:
    tables = plan_tables(plan)
    assert [table.title for table in tables] == ["Elements", "Networks", "Listeners", "Certificates", "DNS"]
    assert all(len(row) == len(table.columns) for table in tables for row in table.rows)
    assert tables[0].rows[3] == (
        "alice",
        "user-agent",
        "acme@1.1",
        "198.18.0.30",
        "2001:db8:0:1::30",
        "alice.atlanta.example",
        "sip:alice@atlanta.example",
        "440 Hz",
    )
    data = json.loads(json.dumps(plan_to_dict(plan)))
    assert data["schema"] == 1
    (network,) = data["networks"]
    assert network == {
        "name": "internet", "ipv4": "198.18.0.0/24", "ipv6": "2001:db8:0:1::/64", "private": False, "loss": 0.0, "rate": 0, "delay": 0.0
    }  # fmt: skip
    assert data["elements"][1]["listeners"][2] == {"transport": "tls", "port": 5061, "hostname": "pa.atlanta.example", "certificate": "pa"}
    with pytest.raises(TypeError, match="a plan holds a set"):
        plan_to_dict(Plan("x", "x", 1, (), (), (), ({1},)))  # type: ignore[arg-type]


def test_several_networks_domains_and_name_servers(tmp_path: Path) -> None:
    plan = planned(
        tmp_path,
        TOPOLOGY.replace("  internet: {}\n", "  internet: {}\n  inside: {}\n")
        .replace("biloxi.example: {proxy: pb}", "biloxi.example: {proxy: pb}\n  chicago.example: {proxy: pb}")
        .replace("vendor: names}", "vendor: names}\n  dns2: {role: dns, vendor: names}"),
    )
    assert [str(each.ipv4) for each in plan.networks] == ["198.18.0.0/24", "198.18.1.0/24"]
    assert [(i.network, str(i.ipv4), str(i.ipv6)) for i in plan.element("bob").interfaces] == [
        ("internet", "198.18.0.31", "2001:db8:0:1::31"),
        ("inside", "198.18.1.31", "2001:db8:0:2::31"),
    ]
    assert len(plan.element("pa").interfaces) == 1
    pb = plan.element("pb")
    assert (pb.hostname, pb.certificates[0].dns_names) == ("pb.biloxi.example", ("pb.biloxi.example", "biloxi.example", "chicago.example"))
    assert pb.certificates[0].uris == ("sip:biloxi.example", "sip:chicago.example", "sip:pb.biloxi.example")
    assert "_sips._tcp SRV 10 60 5061 pb.biloxi.example." in records(zone(plan, "chicago.example"))
    assert not [line for line in records(zone(plan, "chicago.example")) if " A " in line]
    assert plan.element("dns2").hostname == "dns2.siplab.example"
    assert "@ NS dns2.siplab.example." in records(zone(plan, "atlanta.example"))


def test_no_name_server_no_zones(tmp_path: Path) -> None:
    _, vendors = loaded(tmp_path)
    text = "schema: 1\nname: bare\ntitle: One\nnetworks: {net: {}}\nelements:\n  box: {role: proxy, vendor: globex}\n"
    (tmp_path / "topologies" / "bare.yaml").write_text(text)
    plan = make_plan(load_topology("bare", tmp_path), {}, vendors)
    assert plan.zones == plan.domains == ()
    assert plan.element("box").hostname == "box.siplab.example"
    assert {listener.hostname for listener in plan.element("box").listeners} == {"box.siplab.example"}
    assert plan.element("box").certificates[0].dns_names == ("box.siplab.example",)
    assert [table.title for table in plan_tables(plan)] == ["Elements", "Networks", "Listeners", "Certificates"]


def test_leases(tmp_path: Path) -> None:
    topology, vendors = loaded(tmp_path)
    lease = (IPv4Network("198.19.7.64/26"), IPv6Network("2001:db8:9::/64"))
    plan = make_plan(topology, BINDING, vendors, leases={"internet": lease})
    assert (str(plan.element("bob").ipv4), str(plan.element("bob").ipv6)) == ("198.19.7.95", "2001:db8:9::31")
    for leases, message in (
        ({}, 'network "internet" has no lease; lease subnets for all networks or for none'),
        (
            {"internet": (IPv4Network("198.19.7.0/27"), IPv6Network("2001:db8:9::/64"))},
            'no address for "bob" in 198.19.7.0/27 of network "internet"; lease a larger subnet',
        ),
        (
            {"internet": (IPv4Network("198.19.7.0/24"), IPv6Network("2001:db8:9::/123"))},
            'no address for "pa" in 2001:db8:9::/123 of network "internet"; lease a larger subnet',
        ),
    ):
        with pytest.raises(PlanError) as caught:
            make_plan(topology, BINDING, vendors, leases=leases)
        assert str(caught.value) == message


def test_overlapping_leases(tmp_path: Path) -> None:
    topology, vendors = loaded(tmp_path, TOPOLOGY.replace("  internet: {}\n", "  internet: {}\n  inside: {}\n"))
    one: Lease = (IPv4Network("198.19.0.0/24"), IPv6Network("2001:db8:9::/64"))
    other: Lease = (IPv4Network("198.19.0.0/16"), IPv6Network("2001:db8:a::/64"))
    with pytest.raises(PlanError, match=r'^the leases of networks "internet" and "inside" overlap; lease disjoint subnets$'):
        make_plan(topology, BINDING, vendors, leases={"internet": one, "inside": other})


def test_equal_host_names_are_refused(tmp_path: Path) -> None:
    topology, vendors = loaded(tmp_path, TOPOLOGY.replace("elements:\n", "elements:\n  ns: {role: turn}\n"))
    vendors["stun"] = vendors["names"].model_copy(update={"name": "stun", "roles": ("turn",)})
    with pytest.raises(PlanError, match=r'^"ns" and "dns" would both be ns.siplab.example; rename one of them$'):
        make_plan(topology, BINDING | {"ns": Selection("stun", "1.1")}, vendors)


def test_tones_are_apart() -> None:
    assert len(set(TONES_HZ)) == len(TONES_HZ)
    assert all(high - low >= 80 for low, high in pairwise(sorted(TONES_HZ)))
    assert all(abs(tone - digit) >= 25 for tone in TONES_HZ for digit in DTMF_HZ)
    assert all(300 < tone < 3400 for tone in TONES_HZ)


# Properties


def generated(proxies: int, agents: int, networks: int) -> tuple[Topology, dict[str, Vendor]]:
    """A topology of any size, as data, without files."""
    elements: dict[str, object] = {"dns": {"role": "dns", "vendor": "any"}}
    elements |= {f"p{index}": {"role": "proxy", "vendor": "any"} for index in range(proxies)}
    elements |= {f"u{index}": {"role": "user-agent", "vendor": "any", "aor": f"u{index}@d0.example"} for index in range(agents)}
    data = {
        "schema": 1,
        "name": "any",
        "title": "Any",
        "networks": {f"n{index}": {} for index in range(networks)},
        "domains": {f"d{index}.example": {"proxy": f"p{index}"} for index in range(proxies)},
        "elements": elements,
    }
    vendor = Vendor.model_validate(
        {
            "schema": 1,
            "name": "any",
            "title": "Any",
            "roles": ("dns", "proxy", "user-agent"),
            "default": "1",
            "flavours": {"1": {"base": "sid"}},
            "ready": {"agent": True},
        }
    )
    return Topology.model_validate(data), {"any": vendor}


sizes = st.tuples(st.integers(1, 30), st.integers(0, len(TONES_HZ)), st.integers(1, 4))


@given(sizes, st.integers(0, 2**32))
def test_addresses_are_unique_and_inside(size: tuple[int, int, int], seed: int) -> None:
    plan = make_plan(*_with_binding(size), seed=seed)
    networks = {network.name: network for network in plan.networks}
    seen4: set[IPv4Address] = set()
    seen6: set[IPv6Address] = set()
    for element in plan.elements:
        assert [each.network for each in element.interfaces] == list(networks)
        for each in element.interfaces:
            network = networks[each.network]
            assert each.ipv4 in network.ipv4
            assert each.ipv6 in network.ipv6
            assert each.ipv4 not in (network.ipv4[0], network.ipv4[1], network.ipv4[-1])
            assert int(each.ipv4) - int(network.ipv4[0]) == int(format(int(each.ipv6) - int(network.ipv6[0]), "x"))
            assert each.ipv4 not in seen4
            assert each.ipv6 not in seen6
            seen4.add(each.ipv4)
            seen6.add(each.ipv6)


@given(sizes, st.integers(0, 2**32))
def test_same_inputs_same_plan(size: tuple[int, int, int], seed: int) -> None:
    first, second = (make_plan(*_with_binding(size), seed=seed) for _ in range(2))
    assert first == second
    assert json.dumps(plan_to_dict(first)) == json.dumps(plan_to_dict(second))


@given(st.integers(0, 2**32), st.integers(0, 2**32))
def test_seeds_make_passwords(one: int, other: int) -> None:
    def passwords(seed: int) -> list[str]:
        plan = make_plan(*_with_binding((1, 3, 1)), seed=seed)
        return [account.password for domain in plan.domains for account in domain.accounts]

    assert len(set(passwords(one))) == 3
    assert (passwords(one) == passwords(other)) == (one == other)


@given(st.integers(1, 400), st.integers(20, 28))
def test_an_address_is_inside_or_refused(host: int, prefix: int) -> None:
    network = Network("n", IPv4Network((0xC6120000, prefix)), IPv6Network("2001:db8::/64"))
    if host < network.ipv4.num_addresses - 1:
        found = interface("x", host, network).ipv4
        assert found in network.ipv4
        assert found not in (network.ipv4[0], network.ipv4[-1])
    else:
        with pytest.raises(PlanError, match=r"^no address for"):
            interface("x", host, network)


def test_limits() -> None:
    with pytest.raises(PlanError, match=r"^17 elements play tones and there are 16; use fewer accounts$"):
        make_plan(*_with_binding((1, len(TONES_HZ) + 1, 1)))
    with pytest.raises(PlanError, match=r'^no subnet left in 198\.18\.0\.0/15 for network "n512"; use fewer networks$'):
        make_plan(*_with_binding((1, 0, 513)))


def _with_binding(size: tuple[int, int, int]) -> tuple[Topology, dict[str, Selection], dict[str, Vendor]]:
    topology, vendors = generated(*size)
    return topology, {}, vendors
