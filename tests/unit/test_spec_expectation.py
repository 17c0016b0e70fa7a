"""The file of known failures: what it may say, and that the one of this project speaks of what there is."""

import re
from pathlib import Path

import pytest

from lab.errors import SpecError
from lab.spec.catalog import load_topology, topologies, vendors
from lab.spec.expectation import load_expectations

ROOT = Path(__file__).parents[2]
ENTRY = 'schema: 1\nexpectations:\n  - {{{members}, match: silence, reason: a bug of theirs, expires: "2027-01-01"}}\n'


def load(tmp_path, members):
    path = tmp_path / "expectations.yaml"
    path.write_text(ENTRY.format(members=members))
    (entry,) = load_expectations(path)
    return entry


def test_one_or_several_scenarios_and_bindings(tmp_path):
    entry = load(tmp_path, "scenario: hold, binding: {bob: acme}")
    assert (entry.scenario, entry.binding) == (("hold",), ({"bob": "acme"},))
    entry = load(tmp_path, "scenario: [hold, busy], binding: [{pa: acme}, {pb: acme}]")
    assert (entry.scenario, entry.binding) == (("hold", "busy"), ({"pa": "acme"}, {"pb": "acme"}))
    assert load(tmp_path, "scenario: hold").binding == ({},)


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ("scenario: 5", r":3:\d+: expectations\[0\].scenario: must be a list"),
        ("scenario: hold, binding: [7]", r"binding\[0\]: must be a mapping"),
        ("scenario: hold, blames: bob", "blames.*did you mean blame"),
        ("scenario: []", "scenario"),
        ("scenario: hold, binding: {bob: Acme Phone}", 'binding.0..bob: "Acme Phone" is not a vendor'),
    ],
)
def test_mistakes_are_told_with_their_place(tmp_path, members, told):
    with pytest.raises(SpecError, match=told):
        load(tmp_path, members)


@pytest.mark.parametrize(
    ("match", "told"),
    [
        ("", "match.*is missing"),
        ("match: '(',", "not a regular expression"),
        ("match: '',", "at least 1 character"),
        ("match: 'a{99999999999999999999}',", "not a regular expression"),
    ],
)
def test_an_entry_says_which_failure_it_excuses(tmp_path, match, told):
    """One that matched anything would hide whatever breaks in its cell next."""
    path = tmp_path / "expectations.yaml"
    path.write_text(ENTRY.format(members="scenario: hold").replace("match: silence,", match))
    with pytest.raises(SpecError, match=told):
        load_expectations(path)


@pytest.mark.parametrize("expires", ["20270101", "2027-W01-5", "2027-02-30", "tomorrow", "2027-1-1", "2027-01-01T00:00"])
def test_the_day_of_expiry_is_written_in_one_way(tmp_path, expires):
    path = tmp_path / "expectations.yaml"
    path.write_text(ENTRY.format(members="scenario: hold").replace("2027-01-01", expires))
    with pytest.raises(SpecError, match=f'"{expires}" is not a date; write it quoted'):
        load_expectations(path)


def test_known_failures_are_of_scenarios_elements_and_vendors_that_exist():
    """An entry with a typo would excuse nothing, and nobody would see it."""
    written = "\n".join(path.read_text() for path in (ROOT / "scenarios").glob("test_*.py"))
    names = {name.replace("_", "-") for name in re.findall(r"def test_(\w+)\(", written)}
    elements = {element for name in topologies(ROOT) for element in load_topology(name, ROOT).elements}
    known = vendors(ROOT)
    for entry in load_expectations(ROOT / "scenarios" / "expectations.yaml"):
        for scenario in entry.scenario:
            assert scenario.partition("[")[0] in names
        for binding in entry.binding:
            assert set(binding) <= elements
            for value in binding.values():
                vendor, _, flavour = value.partition("@")
                assert not flavour or flavour in known[vendor].flavours, value
                assert vendor in known
        assert entry.blame is None or entry.blame in elements
