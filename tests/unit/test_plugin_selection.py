"""What is selected, and what cannot be: usage errors name what to do, nothing starts, exit codes tell them apart."""

import json
import os

import pytest
from session_fixtures import Inside, inside
from spec_fixtures import TOPOLOGY

from lab.errors import RuntimeFault
from lab.verdict.model import Status

USAGE = 4
NOTHING = 5


@pytest.fixture
def pairing(pytester, monkeypatch) -> Inside:
    return inside(pytester, monkeypatch)


def second_topology(pairing):
    (pairing.root / "topologies" / "other.yaml").write_text(TOPOLOGY.replace("name: pair", "name: other"))


OTHER = "import pytest\npytestmark = pytest.mark.lab(topology='other')\ndef test_b(lab): pass\n"


def test_several_topologies_are_a_usage_error_that_names_them(pairing):
    second_topology(pairing)
    (pairing.root / "scenarios").mkdir()
    (pairing.root / "scenarios" / "test_other.py").write_text(OTHER)
    assert pairing.run("def test_a(lab): pass") == USAGE
    assert "several topologies (other, pair): choose one with --topology" in pairing.console
    assert pairing.run("def test_a(lab): pass", "--topology", "other") == 0
    assert list(pairing.cells()) == ["b"]


def test_a_scenario_chooses_from_the_topologies_of_its_file(pairing):
    assert pairing.run('@pytest.mark.lab(topology="other")\ndef test_a(lab): pass') == USAGE
    assert "the lab marker names other, which the file's marker does not" in pairing.console


def test_a_scenario_runs_on_each_topology_that_it_names(pairing):
    second_topology(pairing)
    (pairing.root / "scenarios").mkdir()
    both = OTHER.replace("topology='other'", "topology=['pair', 'other']") + "@pytest.mark.lab(topology='other')\ndef test_c(lab): pass\n"
    (pairing.root / "scenarios" / "test_other.py").write_text(both)
    assert pairing.run("def test_a(lab): pass") == USAGE
    assert pairing.run("def test_a(lab): pass", "--topology", "pair") == 0
    assert sorted(pairing.cells()) == ["a", "b"]
    assert pairing.run("def test_a(lab): pass", "--topology", "other") == 0
    assert sorted(pairing.cells()) == ["b", "c"]


def test_a_scenario_of_a_topology_that_is_not_there_is_not_left_out(pairing):
    (pairing.root / "scenarios").mkdir()
    (pairing.root / "scenarios" / "test_other.py").write_text(OTHER)
    assert pairing.run("def test_a(lab): pass", "--topology", "pair") == USAGE
    assert 'test_other.py::test_b: the lab marker names an unknown topology "other"' in pairing.console


@pytest.mark.parametrize(
    ("bind", "options", "what"),
    [
        (("bob=nobody",), (), 'unknown vendor "nobody"'),
        (("bob",), (), 'binding "bob" is incomplete'),
        ((), (), '"bob" has no vendor'),
        (("bob=acme,initech",), (), "make 2 pairings"),
        (("bob=acme",), ("--pairing", "nope"), "make 0 pairings (of alice-acme-1.1--bob-acme-1.1)"),
        (("bob=acme",), ("--topology", "pairs"), '--topology: an unknown topology "pairs"; did you mean pair?'),
    ],
)
def test_bindings_that_make_no_pairing_start_nothing(pairing, bind, options, what):
    assert pairing.run("def test_a(lab): pass", *options, bind=bind) == USAGE
    assert what in pairing.console
    assert pairing.world.log == []
    assert not (pairing.root / "results").exists()


def test_an_engine_that_is_not_there_is_one_line_and_leaves_no_run(pairing, monkeypatch):
    def gone():
        raise RuntimeFault("no container engine answers", remedy="run `siplab doctor`")

    monkeypatch.setattr("lab.pytest_plugin.open_runtime", gone)
    assert pairing.run("def test_a(lab): pass") == USAGE
    assert "ERROR: no container engine answers; run `siplab doctor`" in pairing.console
    assert not (pairing.root / "results").exists()


def test_one_of_several_pairings_can_be_chosen(pairing):
    chosen = "alice-acme-1.1--bob-initech-1.1"
    assert pairing.run("def test_a(lab): pass", "--pairing", chosen, bind=("bob=acme,initech",)) == 0
    assert pairing.only().pairing == chosen


def test_cells_go_to_the_run_that_was_given_and_reports_are_its_owners(pairing):
    folder = pairing.root / "results" / "mine"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    assert pairing.run("def test_a(lab): pass", "--run-folder", str(folder)) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["cells.jsonl", "pairings", "run.json"]
    assert not (pairing.root / "results" / "latest").exists()


def test_listing_runs_nothing(pairing, tmp_path):
    listing = tmp_path / "cells.json"
    scenarios = (
        '@pytest.mark.control("pb", "no-rr", expect="x")\n@pytest.mark.parametrize("t", ["udp", "tcp"])\n'
        'def test_basic_call(lab, t):\n    """Title.\n\n    More."""\ndef test_b(lab): pass\n'
    )
    assert pairing.run(scenarios, "--list-cells", str(listing)) == NOTHING
    found = json.loads(listing.read_text())
    assert [item["scenario"] for item in found] == ["basic-call[udp]", "basic-call[tcp]", "b"]
    assert found[0]["title"] == "Title."
    assert found[0]["control"] == "pb no-rr"
    assert found[0]["needs"] == {"alice": ["udp"]}
    assert pairing.world.log == []
    assert not (pairing.root / "results").exists()


def test_a_keyword_that_matches_nothing_selects_nothing(pairing):
    assert pairing.run("def test_a(lab): pass", "-k", "zzz") == NOTHING


def test_collecting_only_starts_nothing(pairing):
    assert pairing.run("def test_a(lab): pass", "--collect-only") == 0
    assert not (pairing.root / "results").exists()


def test_ordinary_tests_beside_scenarios_keep_their_say(pairing):
    (pairing.root / "scenarios").mkdir()
    (pairing.root / "scenarios" / "test_plain.py").write_text("def test_plain(): assert False")
    assert pairing.run("def test_a(lab): pass") == 1
    assert pairing.only().verdict.status is Status.PASS


def test_without_scenarios_the_plugin_is_idle(pairing):
    (pairing.root / "scenarios").mkdir()
    plain = pairing.root / "scenarios" / "test_plain.py"
    plain.write_text("def test_plain(): pass")
    assert int(pairing.pytester.runpytest_inprocess("-p", "lab.pytest_plugin", "-p", "no:cacheprovider", str(plain)).ret) == 0
    assert not (pairing.root / "results").exists()


def test_progress_is_one_json_line_each(pairing, monkeypatch):
    reading, writing = os.pipe()
    monkeypatch.setenv("SIPLAB_PROGRESS_FD", str(writing))
    monkeypatch.setattr("lab.pytest_plugin.heed_scheduler", lambda: None)
    pairing.run("def test_a(lab): pass\ndef test_b(lab): assert False")
    os.close(writing)
    with os.fdopen(reading) as lines:
        assert [json.loads(line) for line in lines] == [
            {"selected": 2},
            {"cell": "a", "status": "pass"},
            {"cell": "b", "status": "fail"},
        ]
