"""Bindings, pairings and the capability join."""

from __future__ import annotations

from pathlib import Path

import pytest
from spec_fixtures import TOPOLOGY, loaded, rewritten

from lab.errors import PlanError
from lab.plan.binding import Binding, Selection, choices, pairings, parse_bindings, resolve
from lab.plan.capability import Missing, missing
from lab.spec.topology import Topology
from lab.spec.vendor import InRole, Vendor

Loaded = tuple[Topology, dict[str, Vendor]]


@pytest.fixture
def project(tmp_path: Path) -> Loaded:
    return loaded(tmp_path)


def test_parse(project: Loaded) -> None:
    assert parse_bindings(["alice=acme@2.0", "bob=all", "alice=initech,acme@2.0"], *project) == {
        "alice": [Selection("acme", "2.0"), Selection("initech", "1.1")],
        "bob": [Selection("acme", "1.1"), Selection("initech", "1.1")],
    }
    assert parse_bindings([" alice , bob = acme "], *project) == {"alice": [Selection("acme", "1.1")], "bob": [Selection("acme", "1.1")]}
    assert parse_bindings(["pa=globex@all"], *project) == {"pa": [Selection("globex", "1.1"), Selection("globex", "2.0")]}
    assert parse_bindings([], *project) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("alice", 'binding "alice" is incomplete; write element=vendor or element=vendor@flavour'),
        ("alice=", 'binding "alice=" is incomplete; write element=vendor or element=vendor@flavour'),
        ("=acme", 'binding "=acme" is incomplete; write element=vendor or element=vendor@flavour'),
        ("alcie=acme", 'binding "alcie=acme": topology "pair" has no element "alcie"; did you mean alice?'),
        ("alice=acne", 'alice: unknown vendor "acne"; did you mean acme?'),
        ("alice=zzz", 'alice: unknown vendor "zzz"; known: acme, initech'),
        ("alice=acme,", 'alice: unknown vendor ""; known: acme, initech'),
        ("alice=globex", 'alice: vendor "globex" cannot be a user-agent; vendors that can: acme, initech'),
        ("alice=acme@2", 'alice: vendor "acme" has no flavour "2"; known: 1.1, 2.0'),
        ("alice=acme@2.1", 'alice: vendor "acme" has no flavour "2.1"; did you mean 2.0 or 1.1?'),
    ],
)
def test_parse_mistakes(project: Loaded, text: str, message: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_bindings([text], *project)
    assert str(caught.value) == message
    assert caught.value.exit_code == 2


def needing(tmp_path: Path, vendors: dict[str, Vendor], *needs: str) -> Loaded:
    """The project whose pa needs something."""
    text = TOPOLOGY.replace("    networks: [internet]\n    vendor: globex\n", f"    vendor: globex@2.0\n    needs: [{', '.join(needs)}]\n")
    more = vendors | {"hooli": vendors["globex"].model_copy(update={"name": "hooli", "supports": ("udp", "sips")})}
    return rewritten(tmp_path, text), more


def test_a_binding_takes_who_declares_what_the_element_needs(tmp_path: Path, project: Loaded) -> None:
    topology, vendors = needing(tmp_path, project[1], "tcp", "sips")
    place = f"{tmp_path}/topologies/pair.yaml:14:5: "
    assert parse_bindings(["pa=globex@all"], topology, vendors) == {"pa": [Selection("globex", "2.0")]}
    assert choices("pa", topology, vendors) == ["all", "globex@all", "globex@2.0"]
    for text, message in (
        ("pa=globex", '"pa" needs sips, which globex@1.1 does not declare; vendors that do: globex@2.0'),
        ("pa=hooli", '"pa" needs tcp, which hooli@1.1 does not declare; vendors that do: globex@2.0'),
        ("pa=hooli@all", '"pa" needs tcp, which hooli@1.1 does not declare; vendors that do: globex@2.0'),
        ("pa=all", "pa=all: no vendor can be a proxy that declares tcp, sips; see siplab vendors"),
    ):
        with pytest.raises(PlanError) as caught:
            parse_bindings([text], topology, vendors)
        assert (str(caught.value), caught.value.exit_code) == (place + message, 2)
    with pytest.raises(PlanError, match=r"which globex@1\.1 does not declare"):
        resolve(topology, {"pa": Selection("globex", "1.1"), "bob": Selection("acme", "1.1")}, vendors)
    assert parse_bindings(["pa=all"], *needing(tmp_path, project[1], "sips")) == {"pa": [Selection("hooli", "1.1")]}


def test_a_check_asks_nothing_of_who_is_under_test(tmp_path: Path, project: Loaded) -> None:
    topology, vendors = needing(tmp_path, project[1], "tcp", "sips")
    assert parse_bindings(["pa=hooli"], topology.assuming("pa"), vendors) == {"pa": [Selection("hooli", "1.1")]}
    with pytest.raises(PlanError, match="does not declare"):
        parse_bindings(["pa=hooli"], topology.assuming("pb"), vendors)


def test_what_a_role_does_not_declare_does_not_count(tmp_path: Path, project: Loaded) -> None:
    topology, vendors = needing(tmp_path, project[1], "sips")
    vendors["hooli"] = vendors["hooli"].model_copy(update={"in_role": {"proxy": InRole(supports=("udp",))}})
    with pytest.raises(PlanError, match=r"needs sips, which hooli@1\.1 does not declare"):
        parse_bindings(["pa=hooli"], topology, vendors)


def test_nobody_can(project: Loaded) -> None:
    topology, vendors = project
    with pytest.raises(PlanError) as caught:
        parse_bindings(["alice=all"], topology, {"globex": vendors["globex"]})
    assert str(caught.value) == "alice=all: no vendor can be a user-agent; see siplab vendors"


def test_pairings_are_the_product_in_stable_order(project: Loaded) -> None:
    found = pairings(project[0], parse_bindings(["bob=all", "alice=all"], *project), project[1])
    assert [binding.id for binding in found] == [
        "alice-acme-1.1--bob-acme-1.1",
        "alice-acme-1.1--bob-initech-1.1",
        "alice-initech-1.1--bob-acme-1.1",
        "alice-initech-1.1--bob-initech-1.1",
    ]
    assert found[1].selections == {
        "dns": Selection("names", "1.1"),
        "pa": Selection("globex", "1.1"),
        "pb": Selection("globex", "2.0"),
        "alice": Selection("acme", "1.1"),
        "bob": Selection("initech", "1.1"),
    }
    assert str(found[1].selections["bob"]) == "initech@1.1"


def test_ids_name_all_that_was_chosen(project: Loaded) -> None:
    chosen = parse_bindings(["pb=globex@all", "bob=acme", "dns=names@2.0"], *project)
    assert [binding.id for binding in pairings(project[0], chosen, project[1])] == [
        "alice-acme-1.1--bob-acme-1.1--pb-globex-1.1--dns-names-2.0",
        "alice-acme-1.1--bob-acme-1.1--pb-globex-2.0--dns-names-2.0",
    ]


def test_without_a_matrix_all_elements_are_named(tmp_path: Path, project: Loaded) -> None:
    text = TOPOLOGY.replace("matrix: [[alice, bob], [pa, pb]]\n", "").replace("    aor: bob", "    vendor: acme\n    aor: bob")
    (only,) = pairings(rewritten(tmp_path, text), {}, project[1])
    assert only.id == "dns-names-1.1--pa-globex-1.1--pb-globex-2.0--alice-acme-1.1--bob-acme-1.1"


@pytest.mark.parametrize(
    ("bindings", "message"),
    [
        ({}, '"bob" has no vendor in topology "pair"; bind one, such as bob=VENDOR (acme, initech)'),
        ({"bob": []}, '"bob" is bound to nothing; bind at least one vendor'),
        ({"bo": [Selection("acme", "1.1")]}, 'bindings: topology "pair" has no element "bo"; did you mean bob?'),
        ({"bob": [Selection("globex", "1.1")]}, 'bob: vendor "globex" cannot be a user-agent; vendors that can: acme, initech'),
        ({"bob": [Selection("acme", "7")]}, 'bob: vendor "acme" has no flavour "7"; known: 1.1, 2.0'),
        (
            {"dns": [Selection("names", "1.1"), Selection("names", "2.0")]},
            '"dns" is bound to 2 vendors but topology "pair" does not vary it; bind one, or add it to the matrix (alice, bob, pa, pb)',
        ),
    ],
)
def test_pairing_mistakes(project: Loaded, bindings: dict[str, list[Selection]], message: str) -> None:
    with pytest.raises(PlanError) as caught:
        pairings(project[0], bindings, project[1])
    assert str(caught.value) == message


def test_resolve(project: Loaded) -> None:
    chosen = resolve(project[0], {"bob": Selection("initech", "2.0")}, project[1])
    assert list(chosen) == list(project[0].elements)
    assert chosen["bob"] == Selection("initech", "2.0")


def test_join(project: Loaded) -> None:
    topology, vendors = project
    chosen = resolve(topology, {"bob": Selection("initech", "2.0")}, vendors)
    needs = {"bob": ["tls", "udp"], "alice": ["udp", "sips", "zrtp"]}
    expected = [Missing("bob", "initech@2.0", "udp"), Missing("alice", "acme@1.1", "sips"), Missing("alice", "acme@1.1", "zrtp")]
    assert missing(chosen, needs, vendors, topology) == expected
    assert missing(Binding("x", chosen), needs, vendors, topology) == expected
    assert str(expected[0]) == "bob (initech@2.0) does not support udp"
    assert expected[0] == ("bob", "initech@2.0", "udp")
    assert missing(chosen, {"bob": ["sips"], "alice": []}, vendors, topology) == []


def test_join_asks_what_a_vendor_declares_in_the_role_that_it_plays(project: Loaded) -> None:
    topology, vendors = project
    both = vendors["acme"].model_copy(update={"roles": ("user-agent", "proxy"), "in_role": {"proxy": InRole(supports=("udp",))}})
    chosen = resolve(topology, {name: Selection("acme", "1.1") for name in ("pa", "bob")}, {**vendors, "acme": both})
    found = missing(chosen, {"pa": ["udp", "tls"], "bob": ["tls"]}, {**vendors, "acme": both}, topology)
    assert found == [Missing("pa", "acme@1.1", "tls")]


def test_join_asks_for_control_commands_too(project: Loaded) -> None:
    topology, vendors = project
    chosen = resolve(topology, {"bob": Selection("acme", "1.1")}, vendors)
    needs = {"bob": ["control:misbehave"]}
    assert missing(chosen, needs, vendors, topology) == [Missing("bob", "acme@1.1", "control:misbehave")]
    able = vendors["acme"].model_copy(update={"control": {"misbehave": ("lie", "{how}")}})
    assert missing(chosen, needs, {**vendors, "acme": able}, topology) == []


def test_join_mistakes(project: Loaded) -> None:
    topology, vendors = project
    chosen = resolve(topology, {"bob": Selection("acme", "1.1")}, vendors)
    for needs, message in (
        ({"bobby": ["udp"]}, 'needs: unknown element "bobby"; did you mean bob?'),
        ({"bob": ["srtp-sde"]}, 'needs of bob: unknown capability "srtp-sde"; did you mean srtp-sdes'),
    ):
        with pytest.raises(PlanError) as caught:
            missing(chosen, needs, vendors, topology)
        assert str(caught.value).startswith(message)
    with pytest.raises(PlanError, match=r"^bob: gone@1 is not a known vendor and flavour; "):
        missing({"bob": Selection("gone", "1")}, {"bob": ["udp"]}, vendors, topology)
