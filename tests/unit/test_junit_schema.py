"""JUnit files hold against the schema that CI systems agree on, whatever the wire said and wherever the run was cut off."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
import xmlschema

from lab.report import run as runs
from lab.report.junit import write_junit
from lab.report.matrix import matrix_json
from lab.report.write import write_reports
from lab.verdict import cells
from lab.verdict.model import Attempt, Cell, Status, Verdict

ROOT = Path(__file__).parents[2]
SCHEMA = Path(__file__).parents[1] / "golden" / "junit.xsd"
HOSTILE = '<script>&amp; "q" \' ]]> \x00\x01\x1b[31m\x7f\x85 \ud800 \ufffe \U0001f4a9 ' + "x" * 5000 + "\r\n\tend"


@pytest.fixture(scope="module")
def schema() -> xmlschema.XMLSchema:
    return xmlschema.XMLSchema(SCHEMA)


@pytest.fixture
def run(tmp_path) -> runs.Run:
    return runs.create(tmp_path, {"command": "siplab run"})


def cell(run, status, text="", pairing="alice-acme-1.1--bob-globex-2.0", attempts=1):
    attempt = Attempt(
        Verdict(status, text, text and "pb", text), 1764000000.123456, 0.1 + 0.2, ("pairings/p/ladder.svg", f"{text[:40]}.wav")
    )
    binding = {"alice": "acme@1.1", "bob": "globex@2.0"}
    return Cell(1, run.id, pairing, "pair", binding, f"call[{status.value}]{text[:60]}", text, (attempt,) * attempts)


def fill(run, text=""):
    for status in Status:
        cells.append(run.cells_file, cell(run, status, text))
        cells.append(run.cells_file, cell(run, status, text, "alice-acme-1.1--bob-acme-1.1", attempts=2))


def describe(run, text):
    for cell in run.cells():
        run.write(
            f"pairings/{cell.pairing}/pairing.json",
            {"versions": {"alice": text, "bob": ""}, "images": {"alice": text}, "host": text[:50], "binding": {}},
        )


def validated(run, schema):
    paths = write_junit(run)
    for path in paths:
        schema.validate(str(path))
    return paths


def test_the_schema_finds_mistakes(schema):
    good = '<testsuites><testsuite name="n" tests="1" failures="0" errors="0" time="1"><testcase name="a" classname="b" time="0"/>%s'
    end = "</testsuite></testsuites>"
    schema.validate(good % "" + end)
    for extra in ("<testcase name='x' time='0'/>", "<verdict/>", "<testcase name='a' classname='b' time='-1'/>"):
        assert not schema.is_valid(good % extra + end)


def test_every_status_is_valid(run, schema):
    fill(run)
    assert len(validated(run, schema)) == 2


def test_a_cell_that_took_no_time_has_one(run, schema):
    one = cell(run, Status.UNSUPPORTED)
    cells.append(run.cells_file, replace(one, attempts=(replace(one.attempts[0], seconds=0.0),)))
    (path,) = validated(run, schema)
    assert ElementTree.parse(path).find(".//testcase").get("time") == "0.000000"


def test_hostile_text_is_valid_everywhere(run, schema):
    fill(run, HOSTILE)
    describe(run, HOSTILE)
    for path in validated(run, schema):
        text = path.read_text()
        assert "<script>" not in text
        assert not any(char in text for char in "\x00\x01\x1b\ufffe")


def test_counts_are_those_of_the_cells(run, schema):
    fill(run)
    for path in validated(run, schema):
        suite = ElementTree.parse(path).getroot()[0]
        assert [int(suite.get(name)) for name in ("tests", "failures", "errors", "skipped")] == [6, 2, 1, 2]


def test_an_interrupted_run_is_valid_too(run, schema):
    fill(run)
    whole = len(run.cells())
    with run.cells_file.open("ab") as file:
        file.write(cells.to_json(cell(run, Status.PASS)).encode()[:-30])
    write_reports(run)
    assert len(run.cells()) == whole
    validated(run, schema)
    cells.append(run.cells_file, cell(run, Status.FAIL, "after the crash"))
    assert len(run.cells()) == whole + 1
    validated(run, schema)
    assert json.loads((write_reports(run).parent / "matrix.json").read_text())["counts"]["fail"] == 3


def test_a_run_that_has_not_come_to_a_cell_has_no_junit(run, schema):
    assert validated(run, schema) == []


# -- docs/reference/results.md -------------------------------------------------------------------------------------------------------------


def section(title):
    text = (ROOT / "docs" / "reference" / "results.md").read_text()
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_the_page_on_results_names_every_key(run):
    fill(run)
    (line, *_) = run.cells_file.read_text().splitlines()
    about = runs.about(["siplab"], topology="pair", seed=1, pairings=[], scenarios={}, engine={})
    documents = {
        "cells.jsonl": {**json.loads(line), **json.loads(line)["attempts"][0], **json.loads(line)["verdict"]},
        "matrix.json": {**matrix_json(run), **matrix_json(run)["cells"][0]},
        "run.json": {**run.describe(), **about},
    }
    for title, data in documents.items():
        missing = [key for key in data if f"`{key}`" not in section(title) and key != "command"]
        assert missing == [], title


def test_the_page_on_results_tells_how_junit_names_each_status():
    for status in Status:
        assert f"`{status.value}`" in section("JUnit")
