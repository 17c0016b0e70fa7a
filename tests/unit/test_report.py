"""Reports from the files of a run: valid, escaped, complete, also of a run that was cut off."""

import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from rich.console import Console

from lab.cli.output import Output
from lab.errors import EvidenceError, SpecError
from lab.report import run as runs
from lab.report.diff import compare
from lab.report.junit import write_junit
from lab.report.matrix import arrange, tally
from lab.report.page import anchor, write_page
from lab.report.summary import red_lines, summary
from lab.report.write import write_reports
from lab.verdict import cells
from lab.verdict.model import Attempt, Cell, Status, Verdict

HOSTILE = '<script>alert(1)</script>\x00\x1b[31m & "quoted" ]]> \ufffe'


def cell(run, status=Status.PASS, scenario="busy", alice="baresip@1.1", bob="linphone@5.3", reason=""):
    pairing = f"alice-{alice}--bob-{bob}".replace("@", "-")
    attempt = Attempt(
        Verdict(status, reason, "pa" if status is Status.FAIL else "", "a step"), 1764000000.0, 1.5, ("pairings/p/ladder.svg",)
    )
    return Cell(1, run.id, pairing, "trapezoid", {"alice": alice, "bob": bob}, scenario, "A title", (attempt,))


@pytest.fixture
def run(tmp_path):
    return runs.create(tmp_path, {"command": f"siplab run {HOSTILE}"})


def fill(run):
    for status in Status:
        cells.append(run.cells_file, cell(run, status, f"scenario-{status.value}", reason=HOSTILE))
    cells.append(run.cells_file, cell(run, alice="pjsip@2.15"))


def test_junit_is_one_well_formed_file_per_pairing(run):
    fill(run)
    paths = write_junit(run)
    assert sorted(path.stem for path in paths) == ["alice-baresip-1.1--bob-linphone-5.3", "alice-pjsip-2.15--bob-linphone-5.3"]
    suite = ElementTree.parse(paths[0]).getroot().find("testsuite")
    assert {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "6",
        "failures": "2",
        "errors": "1",
        "skipped": "2",
    }
    case = suite.find("testcase[@name='scenario-fail']")
    assert case.get("classname") == "siplab.trapezoid.baresip__linphone"
    assert case.find("failure").get("type") == "pa"
    assert "[[ATTACHMENT|pairings/p/ladder.svg]]" in case.find("system-out").text


def test_versions_are_properties_and_never_names(run):
    fill(run)
    text = write_junit(run)[0].read_text()
    assert 'name="binding.alice" value="baresip@1.1"' in text
    assert "1.1" not in ElementTree.fromstring(text).find(".//testcase").get("classname")


def test_the_page_escapes_what_the_wire_said(run):
    fill(run)
    text = write_page(run).read_text()
    assert "<script>alert" not in text
    assert "\x00" not in text
    assert "\x1b" not in text
    for one in run.cells():
        assert f'id="{anchor(one)}"' in text


def luminance(colour):
    """WCAG 2.2, relative luminance of `#rrggbb` or `#rgb`."""
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_the_page_can_be_read_in_light_and_dark(run):
    fill(run)
    schemes = re.findall(r":root \{(.*?)\}", write_page(run).read_text(), re.DOTALL)
    assert len(schemes) == 2
    for scheme in schemes:
        colours = dict(re.findall(r"--([a-z]+):(#[0-9a-f]+)", scheme))
        pairs = [("fg", "bg"), ("soft", "bg"), *(("on", status.value) for status in Status), *((status.value, "card") for status in Status)]
        for pair in pairs:
            dark, light = sorted(luminance(colours[name]) for name in pair)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, pair


def test_a_control_that_could_not_be_played_is_not_one_that_stayed_green(run):
    cells.append(run.controls_file, cell(run, Status.UNSUPPORTED))
    assert '<span class="badge unsupported">unsupported</span>' in write_page(run).read_text()


def test_the_page_tells_what_each_capture_lost(run):
    fill(run)
    name = run.cells()[0].pairing
    for folder, about in (("", {"capture_dropped": 0}), ("lab-2", {"capture_dropped": None, "problems": {"capture": "<late>"}})):
        path = run.pairing(name) / folder / "pairing.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"down_seconds": 1, **about}))
    assert "<td>0<br>lab-2: unknown<br>lab-2: capture: &lt;late&gt;<br></td>" in write_page(run).read_text()


def test_the_matrix_has_a_square_for_every_pair(run):
    fill(run)
    matrix = arrange(run.cells())
    assert (matrix.row_element, matrix.rows) == ("alice", ("baresip@1.1", "pjsip@2.15"))
    assert tally(matrix.at("pjsip@2.15", "linphone@5.3")) == "1✓"
    data = json.loads((write_reports(run).parent / "matrix.json").read_text())
    assert data["counts"]["inconclusive"] == 1
    assert len(data["cells"]) == 7


def test_what_judges_one_side_only_has_a_column_of_its_own(run):
    fill(run)
    alone = replace(cell(run, scenario="registers"), about=("alice",))
    cells.append(run.cells_file, alone)
    matrix = arrange(run.cells())
    assert matrix.columns == ("linphone@5.3", "")
    assert matrix.label("bob", "") == "any bob"
    assert [one.scenario for one in matrix.at("baresip@1.1", "")] == ["registers"]
    assert "registers" not in [one.scenario for one in matrix.at("baresip@1.1", "linphone@5.3")]


def test_every_red_cell_has_a_line(run, capsys):
    fill(run)
    console = Console(width=300, force_terminal=False)
    with console.capture() as capture:
        console.print(summary(run.cells(), title="Negative controls"))
    text = capture.get()
    assert text.startswith("Negative controls\n")
    for status in (Status.FAIL, Status.XPASS, Status.INCONCLUSIVE, Status.XFAIL):
        assert f"scenario-{status.value}" in text
    assert "\x1b" not in text.replace("\x1b[0m", "")


def test_the_line_of_a_red_cell_stays_one_line_in_a_file(run, capsys):
    cells.append(run.cells_file, cell(run, Status.FAIL, reason="word " * 55))
    Output().show(summary(run.cells()))
    assert [line.count("word") for line in capsys.readouterr().out.splitlines() if "word" in line] == [55]


def test_a_vendor_that_fails_in_many_pairings_has_one_line(run):
    for bob in ("linphone@5.3", "pjsip@2.15", "baresip@1.1"):
        cells.append(run.cells_file, cell(run, Status.FAIL, bob=bob, reason="no 486"))
    lines = [line.plain for line in red_lines(run.cells())]
    assert len(lines) == 3, "the proxy is not varied here: who it was is not known"
    for one in run.cells():
        cells.append(
            run.cells_file, replace(one, scenario="hold", attempts=(replace(one.attempts[0], verdict=Verdict(Status.FAIL, "x", "alice")),))
        )
    (line,) = [line.plain for line in red_lines(run.cells()) if "hold" in line.plain]
    assert "and 2 more pairings" in line
    assert "[alice baresip@1.1]" in line


def test_a_run_without_cells_reports_that_nothing_ran(run):
    assert "nothing ran" in write_page(run).read_text()
    assert write_junit(run) == []


def test_runs_are_found_by_name_part_and_latest(tmp_path, run):
    assert runs.find(tmp_path).id == run.id
    assert runs.find(tmp_path, run.id[-6:]).id == run.id
    with pytest.raises(SpecError, match="no run 'nope'"):
        runs.find(tmp_path, "nope")


def test_a_broken_run_json_is_an_error(run):
    (run.folder / "run.json").write_text("{")
    with pytest.raises(EvidenceError, match=r"run.json cannot be read"):
        run.describe()


def test_a_run_of_another_version_is_said_to_be_one(run):
    run.write("run.json", {**run.describe(), "schema": 2})
    with pytest.raises(EvidenceError, match=r"run.json has schema 2, this siplab \(.*\) reads 1; report it with the version that wrote it"):
        write_page(run)


@pytest.mark.parametrize("text", ["{", "[]", '{"versions": []}', '{"problems": "none"}', "\x00"])
def test_a_broken_pairing_json_is_an_error(run, text):
    fill(run)
    path = run.pairing("p") / "pairing.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(EvidenceError, match=r"p/pairing.json: .*pairing.json.*; restore the file, or leave the run"):
        write_reports(run)


@pytest.mark.parametrize(
    ("member", "value", "why"),
    [
        ("schema", 2, "its schema is 2, not 1: another version of siplab wrote it"),
        ("pairing", "../../outside", "pairing '../../outside' cannot be the name of a folder"),
        ("topology", "..", "topology '..' cannot be the name of a folder"),
        ("attempts", [], "it has no attempt"),
        ("title", None, "title is no text"),
        ("binding", "none", "dictionary update"),
        ("scenario", ..., "key 'scenario' is missing"),
    ],
)
def test_what_is_no_cell_says_why(run, member, value, why):
    line = {**json.loads(cells.to_json(cell(run))), member: value}
    if value is ...:
        del line[member]
    run.cells_file.write_text(json.dumps(line) + "\n")
    with pytest.raises(EvidenceError) as error:
        run.cells()
    assert why in str(error.value)
    assert str(error.value).endswith("; remove the line")


def test_a_diff_names_what_changed_and_what_is_missing(tmp_path):
    older, newer = runs.create(tmp_path, {}), runs.create(tmp_path, {})
    for run, status in ((older, Status.PASS), (newer, Status.FAIL)):
        cells.append(run.cells_file, cell(run, status, "busy", reason="no 486" if status is Status.FAIL else ""))
        cells.append(run.cells_file, cell(run, Status.PASS, "message"))
    cells.append(older.cells_file, cell(older, Status.PASS, "dtmf"))
    found = compare([older, newer])
    assert (found.compared, [c.scenario for c in found.changed], [c.scenario for c in found.missing]) == (2, ["busy"], ["dtmf"])
    assert found.changed[0].reason == "no 486"
    assert found.to_dict()["missing"][0]["verdicts"] == [{"status": "pass", "blame": "", "reason": ""}, None]


def test_a_diff_of_equal_runs_is_empty(tmp_path):
    one = runs.create(tmp_path, {})
    cells.append(one.cells_file, cell(one, reason="whatever"))
    assert compare([one, one]).changes == ()
