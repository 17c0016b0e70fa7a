"""NATs: what their options stand for, what follows from it for two user agents, what discovery makes of an answer, what the image shows."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lab.errors import LabError, RuntimeFault
from lab.plan.model import Element, Interface, Network, Plan
from lab.plan.nat import behaviour, candidate_pair, predicted_pair, way_out
from lab.runtime.base import ExecResult
from lab.runtime.fake import FakeImage, FakeRuntime
from lab.runtime.labels import Identity
from lab.runtime.lease import Request, lease_networks
from lab.session.discovery import Discovery, Ground, differences, table
from lab.spec.options import option_problems, options_of

sys.path.insert(0, str(Path(__file__).parents[2] / "images" / "siplab-nat"))

from siplab_nat.__main__ import misbehave
from siplab_nat.bindings import parse
from siplab_nat.rules import Config, NatError, interface_of

IMAGE = Path(sys.path[0])
TYPES = ("full-cone", "address-restricted", "port-restricted", "symmetric")


def nat(name: str = "nat1", behind: str | None = None, inside: str = "home", flavour: str = "as-given", **options: Any) -> Element:
    places = (Interface("internet", IPv4Address("198.18.0.61"), None), Interface(inside, IPv4Address("10.64.1.61"), None))
    return Element(
        name, "nat", "acme", flavour, places, f"{name}.siplab.example", options=options_of("nat", options, flavour), behind=behind
    )


def host(name: str, network: str, behind: str | None = None) -> Element:
    place = Interface(network, IPv4Address("10.64.1.30"), None)
    return Element(name, "user-agent", "acme", "1", (place,), f"{name}.siplab.example", behind=behind)


def plan(*elements: Element) -> Plan:
    return Plan("t", "T", 1, (Network("internet", None, None),), (), elements, ())


def test_a_flavour_that_is_called_like_a_type_is_of_that_type() -> None:
    assert options_of("nat", {"type": "full-cone"}, "symmetric")["type"] == "symmetric"
    assert options_of("nat", {"type": "full-cone"}, "as-given")["type"] == "full-cone"
    assert options_of("turn", {}, "symmetric") == {"username": "siplab", "password": "relay"}


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"type": "cone"}, "must be 'full-cone'"),
        ({"hairpins": True}, 'unknown key "hairpins"'),
        ({"binding_timeout": 1}, "greater than or equal to 2"),
        ({"allow": ("udp/5060",)}, "match pattern"),
        ({"allow": ("tcp/443", "tcp/443")}, "twice"),
    ],
)
def test_wrong_options_are_told(options: dict[str, object], what: str) -> None:
    (problem,) = option_problems("nat", options, ("elements", "nat1", "options"))
    assert what in problem.what


def test_what_a_type_stands_for() -> None:
    found = {kind: behaviour(options_of("nat", {"type": kind})) for kind in (*TYPES, "firewall", "udp-blocked")}
    assert {kind: (b.mapping, b.filtering) for kind, b in found.items() if b.udp} == {
        "full-cone": ("endpoint-independent", "endpoint-independent"),
        "address-restricted": ("endpoint-independent", "address-dependent"),
        "port-restricted": ("endpoint-independent", "address-and-port-dependent"),
        "symmetric": ("address-and-port-dependent", "address-and-port-dependent"),
        "firewall": ("none", "address-and-port-dependent"),
    }
    narrow = behaviour(options_of("nat", {"allow": ("tcp/443",)}))
    assert (narrow.udp, narrow.connects(443), narrow.connects(5061)) == (False, True, False)
    assert behaviour(options_of("nat", {"allow": ("udp", "tcp")})).connects(1)


def test_the_pairs_that_two_nats_allow() -> None:
    kinds = {kind: behaviour(options_of("nat", {"type": kind})) for kind in TYPES}
    pairs = {(one, other): candidate_pair(kinds[one], kinds[other]) for one in TYPES for other in TYPES}
    relayed = {("symmetric", "symmetric"), ("symmetric", "port-restricted"), ("port-restricted", "symmetric")}
    assert {pair for pair, found in pairs.items() if found is None} == relayed
    assert pairs["full-cone", "port-restricted"] == ("srflx", "srflx")
    assert pairs["symmetric", "address-restricted"] == ("prflx", "srflx")
    assert pairs["full-cone", "symmetric"] == ("srflx", "prflx")
    blocked = behaviour(options_of("nat", {"type": "udp-blocked"}))
    assert candidate_pair(blocked, kinds["full-cone"]) is None


def test_one_nat_behind_another_is_as_strict_as_both() -> None:
    carrier = nat("cgn", type="symmetric", binding_timeout=60)
    both = plan(
        carrier, nat("nat1", behind="cgn", type="full-cone", allow=("tcp/443",)), host("alice", "home", "nat1"), host("bob", "internet")
    )
    found = way_out(both, "alice")
    assert (found.mapping, found.filtering, found.udp, found.tcp) == (
        "address-and-port-dependent",
        "address-and-port-dependent",
        False,
        frozenset({443}),
    )
    assert found.binding_timeout == 60
    assert predicted_pair(both, "alice", "bob") is None


@pytest.mark.parametrize(("hairpin", "pair"), [(True, ("srflx", "srflx")), (False, None)])
def test_behind_a_common_nat_it_has_to_hairpin(hairpin: bool, pair: tuple[str, str] | None) -> None:
    homes = plan(nat(hairpin=hairpin), host("alice", "home", "nat1"), host("carol", "guests", "nat1"), host("bob", "home", "nat1"))
    assert predicted_pair(homes, "alice", "carol") == pair
    assert predicted_pair(homes, "alice", "bob") == ("host", "host")


FOUND: dict[str, Any] = {
    "udp": True,
    "mapping": "endpoint-independent",
    "filtering": "address-and-port-dependent",
    "hairpin": False,
    "alg": False,
    "lifetime": None,
    "tcp": [9, 443],
}


def test_what_discovery_finds_is_held_against_the_options() -> None:
    assert differences(nat(), FOUND, [9, 443]) == []
    (line,) = differences(nat(flavour="symmetric"), FOUND, [9, 443])
    assert line == "nat1 (acme@symmetric, symmetric) has mapping endpoint-independent, not address-and-port-dependent"
    wrong = differences(nat(hairpin=True, alg=True, allow=("udp", "tcp/443")), {**FOUND, "lifetime": False}, [9, 443])
    assert [line.partition(" has ")[2] for line in wrong] == [
        "tcp [9, 443], not [443]",
        "alg off, not on",
        "lifetime off, not on",
        "hairpin off, not on",
    ]


def test_behaviours_as_a_table() -> None:
    heading, row = table({"nat1": {"type": "port-restricted", **FOUND}})
    assert heading[:3] == ("nat", "type", "udp")
    assert row[:3] == ("nat1", "port-restricted", "on")
    assert "–" in row


LISTING = """\
udp      17 114 src=10.64.1.30 dst=198.18.0.20 sport=5060 dport=5060 src=198.18.0.20 dst=198.18.0.61 sport=5060 dport=23456 [ASSURED]
udp      17 29 src=198.18.0.99 dst=198.18.0.61 sport=7 dport=23456 [UNREPLIED] src=10.64.1.30 dst=198.18.0.99 sport=5060 dport=7
icmp     1 29 src=10.64.1.30 dst=198.18.0.20 type=8 code=0 id=1 src=198.18.0.20 dst=198.18.0.61 type=0 code=0 id=1
conntrack v1.4.8 (conntrack-tools): 3 flow entries have been shown.
"""


def test_bindings_are_told_from_inside() -> None:
    out, came_in = parse(LISTING, "198.18.0.61")
    assert out == {
        "protocol": "udp",
        "inside": "10.64.1.30:5060",
        "public": "198.18.0.61:23456",
        "remote": "198.18.0.20:5060",
        "seconds": 114,
        "opened": "inside",
        "replied": True,
    }
    assert (came_in["inside"], came_in["public"], came_in["remote"], came_in["opened"], came_in["replied"]) == (
        "10.64.1.30:5060",
        "198.18.0.61:23456",
        "198.18.0.99:7",
        "outside",
        False,
    )


def test_interfaces_are_found_by_address() -> None:
    links = [{"ifname": "eth1", "addr_info": [{"local": "198.18.0.61"}]}, {"ifname": "eth0", "addr_info": [{"local": "10.64.1.61"}]}]
    assert interface_of("10.64.1.61", links) == "eth0"
    with pytest.raises(NatError, match=r"no interface has 10\.64\.1\.9"):
        interface_of("10.64.1.9", links)


@pytest.mark.parametrize(("how", "what"), [("no-alg", "has no alg"), ("no-hairpin", "has no hairpin"), ("be-evil", "unknown misbehaviour")])
def test_a_misbehaviour_that_would_change_nothing_is_refused(how: str, what: str) -> None:
    with pytest.raises(NatError, match=what):
        misbehave(Config("full-cone", "198.18.0.61", ("10.64.1.61",), hairpin=False, binding_timeout=30, alg=False), how)


@pytest.mark.parametrize("kind", [*TYPES, "firewall", "udp-blocked"])
def test_rules_touch_a_table_of_their_own_only(kind: str) -> None:
    environment = Environment(loader=FileSystemLoader(IMAGE), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    text = environment.get_template("rules.nft.j2").render(plan=plan(), element=nat(type=kind, hairpin=True, alg=True, allow=("tcp/443",)))
    assert "flush ruleset" not in text
    assert text.count("table ") == 1 or text.count("\ntable ip siplab {") == 1
    assert ("masquerade" in text) == (kind != "firewall")
    assert "tcp dport 443 accept" in text


def ground(answer: bytes, served: tuple[bytes, ...] = (b"ready\n",), code: int = 0) -> tuple[FakeRuntime, Ground]:
    """A lab with one NAT, whose discovery finds this."""
    commands: list[tuple[str, ...]] = []

    def execute(argv: tuple[str, ...], stdin: bytes | None) -> ExecResult:
        commands.append(argv)
        return ExecResult(code, answer, b"no such file")

    runtime = FakeRuntime({"helper": FakeImage(execute=execute, stream=lambda argv: served)})
    identity = Identity()
    leases = {lease.name: lease for lease in lease_networks(runtime, identity, ["internet", Request("home", private=True, ipv6=False)])}
    networks = tuple(Network(name, lease.ipv4, lease.ipv6, private=name == "home") for name, lease in leases.items())
    return runtime, Ground(runtime, identity, "helper", Plan("t", "T", 1, networks, (), (nat(),), ()), leases)


def test_discovery_measures_and_leaves_nothing() -> None:
    runtime, place = ground(json.dumps(FOUND | {"tcp": [9]}).encode())
    with closing(Discovery(place)) as discovery:
        discovery.prepare()
        assert {container.spec.capabilities for container in runtime.containers.values()} == {("NET_ADMIN",)}
        assert discovery.measure()["nat1"] == {"type": "port-restricted", **FOUND, "tcp": [9]}
    assert runtime.containers == {}


def test_a_nat_that_is_not_what_it_should_be_is_one_line() -> None:
    runtime, place = ground(json.dumps(FOUND | {"tcp": [9], "filtering": "endpoint-independent"}).encode())
    with closing(Discovery(place)) as discovery:
        discovery.prepare()
        with pytest.raises(LabError, match=r"nat1 .* has filtering endpoint-independent, not address-and-port-dependent"):
            discovery.measure()
    assert runtime.containers == {}


def test_a_discovery_that_cannot_be_made_says_why() -> None:
    _, place = ground(b"", served=())
    with closing(Discovery(place)) as discovery, pytest.raises(RuntimeFault, match="STUN server of the discovery ended"):
        discovery.prepare()
    _, place = ground(b"", code=1)
    with closing(Discovery(place)) as discovery:
        discovery.prepare()
        with pytest.raises(RuntimeFault, match="no such file"):
            discovery.measure()
