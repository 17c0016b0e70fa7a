"""On which pairing a negative control is played: the first that can, or one made for it."""

import pytest
from spec_fixtures import loaded

from lab.plan.binding import pairings, parse_bindings
from lab.plan.control import stages, unplayable

TEXTS = ("alice,bob=acme,initech",)


@pytest.fixture
def world(tmp_path):
    """`initech` knows how to drop an ACK, `acme` knows nothing."""
    topology, vendors = loaded(tmp_path)
    vendors["initech"] = vendors["initech"].model_copy(update={"misbehaviours": ("drop-ack",)})
    return topology, vendors


def planned(world, controls, *texts):
    topology, vendors = world
    chosen = parse_bindings(texts, topology, vendors)
    return stages(topology, pairings(topology, chosen, vendors), chosen, controls, vendors)


def test_what_any_vendor_can_play_is_played_on_the_first_pairing(world):
    (stage,) = planned(world, {"a": "pb no-record-route", "b": "alice media=rtp", "c": ""}, *TEXTS)
    assert stage.binding.id == "alice-acme-1.1--bob-acme-1.1"
    assert stage.binds == ("alice=acme@1.1", "bob=acme@1.1")
    assert stage.scenarios == ("a", "b", "c")


def test_a_misbehaviour_goes_to_the_first_pairing_whose_vendor_lists_it(world):
    found = planned(world, {"a": "alice misbehave=drop-ack", "b": "bob misbehave=drop-ack", "c": "pb x"}, *TEXTS)
    assert [(stage.binding.id, stage.scenarios) for stage in found] == [
        ("alice-initech-1.1--bob-acme-1.1", ("a",)),
        ("alice-acme-1.1--bob-initech-1.1", ("b",)),
        ("alice-acme-1.1--bob-acme-1.1", ("c",)),
    ]


def test_a_server_s_control_goes_to_the_first_pairing_whose_vendor_has_a_command_for_it(world):
    _, vendors = world
    plain = vendors["globex"]
    vendors["hooli"] = plain.model_copy(update={"name": "hooli", "control": {"misbehave": ("wrong", "{how}")}})
    (stage,) = planned(world, {"a": "pa forget-everything"}, "alice,bob=acme", "pa=globex@2.0,hooli@2.0")
    assert stage.binding.selections["pa"].vendor == "hooli"
    (stage,) = planned(world, {"a": "pa forget-everything"}, "alice,bob=acme", "pa=globex@2.0")
    assert stage.binding.selections["pa"].vendor == "hooli"


def test_where_no_pairing_can_play_it_that_one_element_is_bound_anew(world):
    (stage,) = planned(world, {"a": "bob misbehave=drop-ack"}, "alice,bob=acme", "pa=globex@2.0")
    assert stage.binding.id == "alice-acme-1.1--bob-initech-1.1--pa-globex-2.0"
    assert stage.binds == ("alice=acme@1.1", "bob=initech@1.1", "pa=globex@2.0")


@pytest.mark.parametrize("binds", [("alice,bob=acme",), ("alice,bob=acme", "pa=globex@2.0"), ("bob=acme",)])
def test_the_binds_of_a_stage_make_exactly_its_pairing(world, binds):
    topology, vendors = world
    for stage in planned(world, {"a": "alice misbehave=drop-ack", "b": "pa x"}, *binds):
        (again,) = pairings(topology, parse_bindings(stage.binds, topology, vendors), vendors)
        assert again == stage.binding


def test_a_misbehaviour_that_nobody_lists_stays_where_it_is_and_says_so(world):
    topology, vendors = world
    (stage,) = planned(world, {"a": "alice misbehave=be-evil"}, "alice,bob=acme")
    assert stage.binding.id == "alice-acme-1.1--bob-acme-1.1"
    told = unplayable("alice misbehave=be-evil", topology, stage.binding, vendors)
    assert told == "alice (acme@1.1) has no misbehaviour be-evil; vendors that have: none"
    assert unplayable("alice media=rtp", topology, stage.binding, vendors) == ""
