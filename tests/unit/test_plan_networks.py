"""Networks, NATs and firewalls between them, elements that are several, and the order in which they start."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from spec_fixtures import project

from lab.errors import SpecError
from lab.plan.binding import resolve
from lab.plan.build import make_plan
from lab.plan.capability import missing
from lab.plan.model import Plan
from lab.spec.catalog import load_topology, vendors

NATS = """
schema: 1
name: nats
title: Two NATs in a row, a firewall
networks:
  internet: {}
  carrier: {private: true}
  home: {private: true, ipv6: false}
  office: {}
  six: {ipv4: false}
domains:
  d.example: {proxy: p}
elements:
  dns: {role: dns, networks: [internet], vendor: names}
  p: {role: proxy, networks: [internet], vendor: globex}
  cgn: {role: nat, networks: [internet, carrier], vendor: wall}
  nat1: {role: nat, networks: [carrier, home], vendor: wall, behind: cgn}
  fw: {role: nat, networks: [internet, office], vendor: wall, start_after: [p]}
  phone: {role: user-agent, vendor: acme, aor: phone@d.example, behind: nat1, count: 2, start_after: [fw]}
  desk: {role: user-agent, vendor: acme, aor: desk@d.example, behind: fw}
  six: {role: user-agent, vendor: acme, aor: six@d.example, networks: [six]}
matrix: [[phone]]
"""


@pytest.fixture
def nats(tmp_path: Path) -> Plan:
    project(tmp_path)
    folder = tmp_path / "images" / "wall"
    folder.mkdir()
    (folder / "vendor.yaml").write_text(
        'schema: 1\nname: wall\ntitle: Wall\nroles: [nat]\ndefault: "1"\nflavours: {"1": {base: sid}}\nready: {log: up}\n'
        'sysctls: {net.ipv4.ip_forward: "1"}\n'
    )
    (tmp_path / "topologies" / "nats.yaml").write_text(NATS)
    return make_plan(load_topology("nats", tmp_path), {}, vendors(tmp_path))


def routes(plan: Plan, name: str) -> dict[str, str]:
    return {str(route.destination): str(route.gateway) for route in plan.element(name).ip_routes}


def test_routes_lead_out_through_nats_and_in_through_firewalls(nats: Plan) -> None:
    cgn, fw = nats.element("cgn"), nats.element("fw")
    assert routes(nats, "phone1") == {"0.0.0.0/0": str(nats.element("nat1").interfaces[1].ipv4)}
    assert routes(nats, "nat1") == {"0.0.0.0/0": str(cgn.interfaces[1].ipv4), "::/0": str(cgn.interfaces[1].ipv6)}
    office = nats.networks[3]
    assert routes(nats, "p") == routes(nats, "cgn") == {str(office.ipv4): str(fw.ipv4), str(office.ipv6): str(fw.ipv6)}
    assert routes(nats, "fw") == {}
    assert routes(nats, "desk") == {"0.0.0.0/0": str(fw.interfaces[1].ipv4), "::/0": str(fw.interfaces[1].ipv6)}


def test_private_networks_and_those_of_one_family(nats: Plan) -> None:
    internet, carrier, home, _, six = nats.networks
    assert (internet.private, carrier.private) == (False, True)
    assert str(carrier.ipv4).startswith("10.64.")
    assert str(carrier.ipv6).startswith("fd")
    assert (home.ipv6, six.ipv4) == (None, None)
    assert [place.network for place in nats.element("phone1").interfaces] == ["home"]
    only6 = nats.element("six")
    assert (only6.ipv4, only6.host) == (None, f"[{only6.ipv6}]")
    zone = next(zone for zone in nats.zones if zone.origin == "d.example")
    assert [record.type for record in zone.records if record.name == "six"] == ["AAAA"]
    assert [record.type for record in zone.records if record.name == "phone1"] == ["A"]


def test_several_of_a_kind(nats: Plan) -> None:
    assert [element.name for element in nats.elements][5:7] == ["phone1", "phone2"]
    account = nats.element("phone2").account
    assert account
    assert account.aor == "sip:phone2@d.example"
    assert nats.matrix == (("phone1", "phone2"),)


def test_elements_start_when_those_that_they_wait_for_are_ready(nats: Plan) -> None:
    first, second, third = nats.waves()
    assert {element.name for element in first} == {"dns", "p", "cgn", "nat1", "desk", "six"}
    assert [element.name for element in second] == ["fw"]
    assert [element.name for element in third] == ["phone1", "phone2"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("behind: fw}", "behind: p}", '"p" is no other element with the role nat; known: cgn, fw, nat1'),
        ("behind: fw}", "behind: fw, networks: [home]}", '"desk" is on no network inside of "fw"; its inside: office'),
        ("networks: [internet, office]", "networks: [internet]", 'nat "fw" is not between networks; add networks: [outside, inside]'),
        ("start_after: [p]", "start_after: [phone]", '"fw" would wait for itself; let "phone2" not start after it'),
        ("start_after: [p]", "start_after: [q]", 'unknown element "q"'),
        ("behind: cgn}", "behind: nat1}", '"nat1" is no other element with the role nat; known: cgn, fw'),
        ("  desk:", "  phone2:", '"phone" and "phone2" would both make an element "phone2"; rename one'),
        ("six: {ipv4: false}", "six: {ipv4: false, ipv6: false}", "has neither IPv4 nor IPv6; leave one of them on"),
        ("  p: {role: proxy,", "  p: {role: proxy, count: 2,", 'unknown element "p"; did you mean p2 or p1?'),
    ],
)
def test_mistakes_of_networks_and_order(tmp_path: Path, nats: Plan, old: str, new: str, message: str) -> None:
    assert old in NATS
    (tmp_path / "topologies" / "nats.yaml").write_text(NATS.replace(old, new))
    with pytest.raises(SpecError, match=re.escape(message)):
        load_topology("nats", tmp_path)


def test_a_vendor_without_ipv6_cannot_be_where_there_is_no_ipv4(tmp_path: Path, nats: Plan) -> None:
    topology, known = load_topology("nats", tmp_path), vendors(tmp_path)
    found = missing(resolve(topology, {}, known), {"desk": ["udp"]}, known, topology)
    assert [str(item) for item in found] == ["six (acme@1.1) does not support ipv6"]


def test_bad_networks(tmp_path: Path, nats: Plan) -> None:
    file = tmp_path / "topologies" / "nats.yaml"
    file.write_text(NATS.replace("internet: {}", "internet: {loss: 2.5%, rate: 128kbit, delay: 30ms}"))
    plan = make_plan(load_topology("nats", tmp_path), {}, vendors(tmp_path))
    assert (plan.networks[0].loss, plan.networks[0].rate, plan.networks[0].delay) == (0.025, 128_000, 0.03)
    for wrong, message in (
        ("loss: 0%", "is no loss"),
        ("rate: 5", "must be text"),
        ("delay: 1s", "is no delay"),
        ("loss: 100%", "is no loss"),
    ):
        file.write_text(NATS.replace("internet: {}", f"internet: {{{wrong}}}"))
        with pytest.raises(SpecError, match=message):
            load_topology("nats", tmp_path)
    file.write_text(NATS.replace("six: {ipv4: false}", "six: {ipv4: false, loss: 1%}"))
    with pytest.raises(SpecError, match='nobody can measure "six"'):
        load_topology("nats", tmp_path)
