"""The command line on an invented project: help, errors in one line with their exit codes, data on stdout and nothing else."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace

import click
import pytest
from click.testing import CliRunner
from session_fixtures import project_with_helper

from lab.cli import main, siplab
from lab.report import run as runs
from lab.runtime.fake import FakeRuntime
from lab.runtime.labels import Identity, Owner
from lab.session.selection import select
from lab.verdict import cells
from lab.verdict.model import Attempt, Cell, Status, Verdict

SCENARIOS = (
    'import pytest\npytestmark = pytest.mark.lab(topology="pair", needs={"alice": ["udp"]})\ndef test_busy(lab):\n    """It is."""\n'
)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A project with one scenario, and no engine anywhere."""
    project_with_helper(tmp_path)
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "test_it.py").write_text(SCENARIOS)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    monkeypatch.delenv("SIPLAB_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def call(root, monkeypatch, capsys):
    """`siplab` as installed: (exit code, stdout, stderr)."""

    def called(*arguments):
        monkeypatch.setattr(sys, "argv", ["siplab", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capsys.readouterr()
        return stop.value.code, out, err

    return called


def commands(group=siplab, path=()):
    for name, command in group.commands.items():
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


@pytest.mark.parametrize("path", [(), *commands()], ids=lambda path: " ".join(path) or "siplab")
def test_every_command_has_help(path):
    result = CliRunner().invoke(siplab, [*path, "--help"])
    assert result.exit_code == 0
    assert result.output.startswith("Usage: ")
    assert len(result.output.splitlines()[2].strip()) > 20, "a sentence on what it is for"


def test_the_main_help_tells_the_exit_codes(call):
    code, out, _ = call("--help")
    assert code == 0
    assert "0 all as expected, 1 a verdict failed, 2 usage" in " ".join(out.split())
    assert call("-h")[1] == out


def test_version(call):
    assert re.fullmatch(r"siplab, version \d+\.\d+\.\d+\n", call("--version")[1])


# -- errors ------------------------------------------------------------------------------------------------------------------------------

ERRORS = {
    "unknown topology": (("run", "pairs", "--bind", "bob=acme"), 2, 'unknown topology "pairs"'),
    "unknown vendor": (("run", "pair", "--bind", "bob=acmee"), 2, 'bob: unknown vendor "acmee"; '),
    "wrong role": (("plan", "pair", "--bind", "bob=globex"), 2, 'vendor "globex" cannot be a user-agent'),
    "unknown flavour": (("plan", "pair", "--bind", "bob=acme@9"), 2, 'has no flavour "9"'),
    "unknown element": (("plan", "pair", "--bind", "carol=acme"), 2, 'has no element "carol"'),
    "bad binding": (("run", "pair", "--bind", "bob"), 2, 'binding "bob" is incomplete'),
    "no binding": (("run", "pair", "bob=acme", "hold"), 2, 'binding "hold" is incomplete; write element=vendor'),
    "an argument's vendor": (("plan", "pair", "bob=acmee"), 2, 'bob: unknown vendor "acmee"; '),
    "nobody bound": (("run", "pair"), 2, '"bob" has no vendor'),
    "no engine": (("run", "pair", "--bind", "bob=acme"), 3, "/nonexistent/docker.sock"),
    "no engine for ps": (("ps",), 3, "/nonexistent/docker.sock"),
    "no lab for call": (("call", "alice", "bob"), 2, "no lab is up; start one: siplab up TOPOLOGY"),
    "no lab for hangup": (("hangup",), 2, "no lab is up"),
    "no lab for dns": (("dns", "fault", "nxdomain", "*"), 2, "no lab is up"),
    "no lab for nat": (("nat", "show"), 2, "no lab is up"),
    "several labs": (("up", "pair", "bob=acme,initech"), 2, "these bindings make 2 labs; bind each element to one vendor"),
    "nobody bound to show": (("topology", "show", "pair"), 2, '"bob" has no vendor'),
    "no engine for up": (("up", "pair", "bob=acme"), 3, "/nonexistent/docker.sock"),
    "no engine for logs": (("logs", "alice"), 3, "/nonexistent/docker.sock"),
    "no engine for down": (("down",), 3, "/nonexistent/docker.sock"),
    "no run yet": (("report",), 2, "run `siplab run` first"),
    "no such run": (("report", "yesterday"), 2, "no run 'yesterday'"),
    "nothing matches": (
        ("run", "pair", "--bind", "bob=acme", "-k", "zzz"),
        5,
        "no scenario of pair matches 'zzz'; see `siplab scenarios pair`",
    ),
    "no expression": (("run", "pair", "--bind", "bob=acme", "-k", "a and or"), 2, "cannot collect the scenarios"),
    "nothing matches, quietly": (("-q", "run", "pair", "--bind", "bob=acme", "-k", "zzz"), 5, "no scenario of pair matches 'zzz'"),
    "two pairings for a plan": (("plan", "pair", "bob=acme,initech"), 2, "2 pairings, a plan is of one: bind each element to one vendor"),
    "unknown image": (("images", "build", "acme", "acmee"), 2, 'no image "acmee"; did you mean acme'),
    "unknown image's flavour": (("images", "build", "acme@9"), 2, 'no image "acme@9": acme has no flavour "9"; known: 1.1, 2.0'),
    "no topology": (("run",), 2, "missing argument 'TOPOLOGY' (see `siplab run --help`)"),
    "unknown option": (
        ("run", "pair", "--bimd", "bob=acme"),
        2,
        "no such option '--bimd'. Did you mean '--bind'? (see `siplab run --help`)",
    ),
    "unknown command": (("nonsense",), 2, "no such command 'nonsense' (see `siplab --help`)"),
    "no number": (("run", "pair", "-j", "many"), 2, "invalid value for '-j' / '--jobs': 'many' is not a valid integer"),
    "no job at all": (("run", "pair", "-j", "0"), 2, "invalid value for '-j' / '--jobs': 0 is not in the range x>=1"),
    "no time at all": (("run", "pair", "--timeout", "0"), 2, "0.0 is not in the range x>0"),
    "less than no line": (("logs", "alice", "-n", "-1"), 2, "-1 is not in the range x>=0"),
    "no such file": (("validate", "missing.yaml"), 2, "missing.yaml"),
    "control characters": (("run", "pa\x1b[31m\nir"), 2, "unknown topology"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_one_line_and_an_exit_code_and_no_results_folder(call, root, name):
    arguments, wanted, what = ERRORS[name]
    code, out, err = call(*arguments)
    assert code == wanted
    assert what in err
    assert err.startswith("siplab: ")
    assert out == ""
    assert len(err.splitlines()) == 1, err
    assert "\x1b" not in err
    assert not (root / "results").exists()


def test_no_command_at_all_is_the_help(call):
    code, out, err = call()
    assert (code, out) == (2, "")
    assert err.startswith("Usage: siplab ")


def test_what_the_machine_refuses_is_one_line(call, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied", "/results/x")

    monkeypatch.setattr("lab.cli.inspect.vendors", refuse)
    code, out, err = call("vendors")
    assert (code, out) == (3, "")
    assert err == "siplab: /results/x: Permission denied; check its owner, its permissions and the disk, -vv tells more\n"


def process(root, *arguments, **more):
    """`siplab` in a process of its own: its exit code and what it wrote to stderr."""
    command = [sys.executable, "-m", "lab", *arguments]
    done = subprocess.run(command, cwd=root, stderr=subprocess.PIPE, text=True, check=False, timeout=60, **more)
    return done.returncode, done.stderr


@pytest.mark.parametrize("arguments", [("report",), ("report", "--json"), ("topologies", "schema")])
def test_a_reader_that_goes_away_changes_no_verdict(root, arguments):
    _recorded(root)
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert process(root, *arguments, stdout=writing) == (1 if "report" in arguments else 0, "")
    finally:
        os.close(writing)


def test_a_terminal_without_unicode(root):
    _recorded(root)
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    assert process(root, "report", stdout=subprocess.DEVNULL, env=environment) == (1, "")


@pytest.mark.collects
def test_a_wrong_need_and_a_wrong_expectation_start_nothing(call, root):
    (root / "scenarios" / "expectations.yaml").write_text("schema: 1\nexpectation: []\n")
    code, _, err = call("run", "pair", "bob=acme")
    assert (code, err) == (2, 'siplab: scenarios/expectations.yaml:2:1: unknown key "expectation"; did you mean expectations?\n')
    (root / "scenarios" / "test_it.py").write_text(SCENARIOS.replace('["udp"]', '["upd"]'))
    code, _, err = call("run", "pair", "bob=acme")
    assert (code, err) == (2, 'siplab: busy: needs of alice: unknown capability "upd"; did you mean update or udp?\n')
    assert not (root / "results").exists()


@pytest.mark.collects
def test_a_broken_scenario_file_is_an_error_and_never_a_smaller_run(call, root):
    (root / "scenarios" / "test_broken.py").write_text("import no_such_module\n")
    code, _, err = call("run", "pair", "--bind", "bob=acme")
    assert code == 2
    assert "no_such_module" in err


@pytest.mark.collects
def test_a_topology_of_ones_own_is_what_is_run_wherever_it_lies(call, root, tmp_path_factory, monkeypatch):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    text = (root / "topologies" / "pair.yaml").read_text()
    for name in ("pair", "mine"):
        (elsewhere / f"{name}.yaml").write_text(text.replace("name: pair", f"name: {name}"))
    (elsewhere / "grp.py").write_text("raise SystemExit('the folder that one is in is no place to import from')\n")
    (root / "scenarios" / "test_it.py").write_text(SCENARIOS.replace('"pair"', '["pair", "mine"]'))
    monkeypatch.setenv("SIPLAB_HOME", str(root))
    monkeypatch.chdir(elsewhere)
    code, out, err = call("scenarios", "./mine.yaml", "--json")
    assert (code, err) == (0, "")
    assert [(item["scenario"], item["topology"]) for item in json.loads(out)] == [("busy", "mine")]
    assert select("mine.yaml", ["bob=acme"]).reference == str(elsewhere / "mine.yaml")
    assert select("./pair.yaml", ["bob=acme"]).reference == str(elsewhere / "pair.yaml")
    assert select("pair", ["bob=acme"]).reference == "pair"
    code, _, err = call("scenarios", "pair")
    assert (code, err.count('unknown topology "mine"')) == (2, 1)


def test_outside_of_a_project(call, tmp_path, monkeypatch):
    monkeypatch.setenv("SIPLAB_HOME", str(tmp_path / "nowhere"))
    code, _, err = call("vendors")
    assert code == 2
    assert "SIPLAB_HOME" in err


def test_a_user_without_rights_on_the_socket_is_told_which_group(call, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("lab.runtime.docker_wire._dial_unix", refuse)
    code, _, err = call("ps")
    assert code == 3
    assert err.startswith("siplab: no permission to use the container engine at unix:///nonexistent/docker.sock; join the group")


def test_interrupted(call, monkeypatch):
    def press(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("lab.cli.inspect.vendors", press)
    code, _, err = call("vendors")
    assert code == 130
    assert err.strip().splitlines()[-1] == "interrupted"


def test_interrupted_while_it_loads():
    """Half a second in which someone may press Ctrl-C: the import of the command line is where it comes here."""
    program = """
import sys
from lab.__main__ import main

class Pressed:
    def find_spec(self, name, *_):
        if name == "lab.cli":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Pressed())
main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_an_error_with_its_traceback_on_request(call):
    code, _, err = call("-vv", "plan", "nope")
    assert code == 2
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith('siplab: topologies: unknown topology "nope"')


# -- labs on the engine ------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def engine(monkeypatch):
    """An engine with a lab in use and one that a dead owner left."""
    engine = FakeRuntime({})
    dead = replace(Owner.current(), start=1)
    for lab, owner in (("aaaaaaaa", Owner.current()), ("dddddddd", dead)):
        me = Identity(lab=lab, owner=str(owner))
        engine.create_volume(me.name("keys"), me.labels())
    monkeypatch.setattr("lab.cli.live.DockerRuntime", lambda: engine)
    return engine


def test_listing_labs_removes_none(call, engine):
    found = json.loads(call("ps", "--json")[1])
    assert sorted(item["lab"] for item in found) == ["aaaaaaaa", "dddddddd"]
    assert [item["objects"] for item in found] == [[{"kind": "volume", "name": f"siplab-{lab}-keys"}] for lab in ("aaaaaaaa", "dddddddd")]
    shown = call("ps")[1]
    assert re.search(r"aaaaaaaa +process \d+ on ", shown)
    assert re.search(r"dddddddd +dead: `siplab down` removes it", shown)


def test_no_lab_on_the_engine_is_said(call, monkeypatch):
    monkeypatch.setattr("lab.cli.live.DockerRuntime", lambda: FakeRuntime({}))
    assert call("ps") == (0, "", "no lab is on the engine\n")
    assert call("ps", "--json")[1] == "[]\n"


def test_down_of_nobody_is_an_error(call, engine):
    code, out, err = call("down", "aaaa")
    assert (code, out) == (2, "")
    assert err.startswith('siplab: no lab "aaaa" is on the engine; see `siplab ps`')


@pytest.mark.parametrize(
    ("arguments", "said", "left"),
    [
        ((), "1 abandoned lab(s) removed", ["aaaaaaaa"]),
        (("aaaaaaaa",), "1 objects of lab aaaaaaaa removed", ["dddddddd"]),
        (("--all",), "2 objects removed", []),
    ],
)
def test_down_removes_what_it_says(call, engine, arguments, said, left):
    code, out, _ = call("down", *arguments)
    assert (code, out.strip()) == (0, said)
    assert [item.labels["siplab.lab"] for item in engine.inventory({"siplab": "1"})] == left


# -- pictures ----------------------------------------------------------------------------------------------------------------------------


def test_a_picture_as_text_svg_mermaid_and_data(call, tmp_path):
    code, out, _ = call("topology", "show", "pair", "bob=acme")
    assert code == 0
    assert out.startswith("pair: Two domains\n\n══ internet ══ ")
    svg, mermaid = tmp_path / "made" / "pair.svg", tmp_path / "pair.mmd"
    code, out, err = call("topology", "show", "pair", "bob=acme", "--svg", str(svg), "--mermaid", str(mermaid))
    assert (code, out) == (0, "")
    assert err == f"written: {svg}\nwritten: {mermaid}\n"
    assert svg.read_text().startswith("<svg ")
    assert "flowchart TB" in mermaid.read_text()
    assert json.loads(call("topology", "show", "pair", "bob=acme", "--json")[1])["networks"][0]["name"] == "internet"


def test_the_page_of_topologies(call, root):
    given = (root / "topologies" / "pair.yaml").read_text()
    (root / "topologies" / "pair.yaml").write_text(given.replace("    aor: bob@", "    vendor: acme\n    aor: bob@"))
    code, out, _ = call("topologies", "document", "--check")
    assert (code, out.splitlines()[0]) == (1, "not up to date: docs/reference/topologies.md; run `make pictures`")
    assert call("topologies", "document")[0] == 0
    assert "test_it.py" in (root / "docs" / "reference" / "topologies.md").read_text()
    assert call("topologies", "document", "--check")[:2] == (0, "")
    (root / "docs" / "pictures" / "gone.svg").write_text("<svg/>")
    assert call("topologies", "document", "--check")[1] == "superfluous: docs/pictures/gone.svg; run `make pictures`\n"
    assert call("topologies", "document")[2] == "removed: docs/pictures/gone.svg\n"


# -- data --------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("topologies",),
        ("vendors",),
        ("scenarios",),
        ("scenarios", "pair"),
        ("plan", "pair", "--bind", "bob=acme"),
        ("report",),
        ("report", "latest"),
    ],
    ids=" ".join,
)
def test_json_is_all_there_is_on_stdout(call, root, arguments):
    _recorded(root)
    code, out, err = call(*arguments, "--json")
    assert code == (1 if "report" in arguments else 0)
    assert json.loads(out)
    assert "\x1b" not in out + err
    assert err == ""


def test_every_role_that_is_checked_has_a_line(call, root):
    manifest = root / "images" / "acme" / "vendor.yaml"
    manifest.write_text(manifest.read_text().replace("[user-agent]", "[tool, user-agent, sbc]") + "in_role: {sbc: {supports: [hold]}}\n")
    folder = root / "results" / "checks"
    folder.mkdir(parents=True)
    rows = [{"kind": "capability", "name": "hold", "outcome": "proven"}]
    (folder / "acme@1.1.sbc.json").write_text(json.dumps({"rows": rows}))
    code, out, _ = call("vendors", "--json")
    (found,) = [each["checked"] for each in json.loads(out) if each["name"] == "acme"]
    assert (code, list(found)) == (0, ["1.1", "2.0", "1.1.sbc", "2.0.sbc"])
    assert found["1.1.sbc"]["hold"] == "proven"
    assert found["2.0.sbc"] == {"hold": "declared", "sips": "declared"}
    assert "acme@2.0.sbc" in call("vendors")[1]


def test_a_binding_without_what_the_element_needs_is_one_line(call, root):
    file = root / "topologies" / "pair.yaml"
    file.write_text(file.read_text().replace("    vendor: globex\n", "    vendor: globex\n    needs: [udp]\n"))
    code, out, err = call("plan", "pair", "bob=acme", "pa=globex@2.0")
    assert (code, out) == (2, "")
    assert err == ('siplab: topologies/pair.yaml:15:5: "pa" needs udp, which globex@2.0 does not declare; vendors that do: globex\n')


def _recorded(root):
    run = runs.create(root / "results", {"command": "x"})
    for status in (Status.PASS, Status.FAIL):
        attempt = Attempt(Verdict(status, "a reason", "pa"), 1764000000.0, 1.0)
        cells.append(run.cells_file, Cell(1, run.id, "p", "pair", {"alice": "acme@1.1"}, f"busy-{status.value}", "", (attempt,)))
    return run


def test_a_report_of_a_run_is_written_again(call, root):
    run = _recorded(root)
    code, out, _ = call("report", run.id[-6:])
    assert code == 1
    assert "✗ fail" in out
    assert f"report: {run.folder / 'index.html'}" in out
    assert {"matrix.json", "index.html", "junit"} <= {path.name for path in run.folder.iterdir()}


def test_a_diff_ends_with_one_where_a_verdict_changed(call, root):
    older, newer = _recorded(root), _recorded(root)
    code, out, _ = call("diff", older.id, newer.id)
    assert (code, out.strip()) == (0, "2 cells in all runs, 0 judged differently, 0 missing in a run")
    again = newer.cells()[0]
    newer.cells_file.write_text("")
    cells.append(newer.cells_file, replace(again, attempts=(replace(again.attempts[0], verdict=Verdict(Status.FAIL, "no 486", "alice")),)))
    code, out, _ = call("diff", older.id, newer.id)
    assert code == 1
    assert "fail alice" in out
    assert "1 judged differently, 1 missing" in out


@pytest.mark.parametrize(("statuses", "code"), [((), 5), (("pass", "unsupported", "xfail"), 0), (("inconclusive",), 3), (("xpass",), 1)])
def test_the_exit_code_is_that_of_the_verdicts(call, root, statuses, code):
    run = runs.create(root / "results", {"command": "x"})
    for status in statuses:
        attempt = Attempt(Verdict(Status(status), "why"), 1764000000.0, 1.0)
        cells.append(run.cells_file, Cell(1, run.id, "p", "pair", {"alice": "acme@1.1"}, status, "", (attempt,)))
    done, out, _ = call("report")
    assert done == code
    assert ("no cell was judged" in out) is (not statuses)


def test_names_of_files_are_never_markup(call, root):
    (root / "topologies" / "pair.yaml").rename(root / "topologies" / "pair.yaml.off")
    (root / "topologies" / "[red]x.yaml").write_text("schema: 1\n")
    code, _, err = call("validate", "topologies/[red]x.yaml")
    assert code == 2
    assert "[red]x.yaml" in err


def test_schemas_for_editors(call):
    topology, vendor = (json.loads(call("topologies", "schema", *more)[1]) for more in ((), ("--vendor",)))
    assert topology["$schema"] == vendor["$schema"]
    assert topology["title"] != vendor["title"]


def test_no_colour_where_nobody_looks_or_wants_it(call, root, monkeypatch):
    _recorded(root)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("FORCE_COLOR")
    assert "\x1b" not in "".join(map(str, call("report")))


def test_no_color_is_honoured_on_a_terminal(call, root, monkeypatch):
    _recorded(root)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    out = call("report")[1]
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", out)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(call, shell):
    code, out, err = call("completion", shell)
    assert (code, err) == (0, "")
    assert "_SIPLAB_COMPLETE" in out
    assert "siplab" in out


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("run", "pa"), ["pair"]),
        (("run", "pair", "b"), ["bob="]),
        (("run", "pair", "bob=a"), ["bob=all", "bob=acme", "bob=acme@all", "bob=acme@1.1", "bob=acme@2.0"]),
        (
            ("plan", "pair", "bob=acme", "pa,pb=globex,globex@"),
            ["pa,pb=globex,globex@all", "pa,pb=globex,globex@1.1", "pa,pb=globex,globex@2.0"],
        ),
        (("run", "pair", "bob", "=", "ini"), ["initech", *(f"initech@{f}" for f in ("all", "1.1", "2.0"))]),
        (("run", "pair", "bob", "=", "all"), ["all"]),
        (("run", "pair", "zed=a"), []),
        (("run", "nowhere", "b"), []),
        (("vendor", "check", "acme@2"), ["acme@2.0"]),
        (("images", "build", "gl"), ["globex"]),
    ],
)
def test_what_a_shell_offers(root, monkeypatch, words, offered):
    found = CliRunner().invoke(
        siplab,
        env={
            "_SIPLAB_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(("siplab", *words)),
            "COMP_CWORD": str(len(words)),
            "SIPLAB_HOME": str(root),
        },
        prog_name="siplab",
    )
    assert [line.partition(",")[2] for line in found.output.split()] == offered


def test_bindings_add_up_as_arguments_and_options(call):
    made = json.loads(call("plan", "pair", "bob=acme", "--bind", "pa=globex@2.0", "--json")[1])
    assert {e["name"]: f"{e['vendor']}@{e['flavour']}" for e in made["elements"] if e["name"] in ("bob", "pa")} == {
        "bob": "acme@1.1",
        "pa": "globex@2.0",
    }


def test_completion_of_another_shell(call):
    assert call("completion", "tcsh")[0] == 2


def test_render_and_its_check(call, root, tmp_path):
    arguments = ("render", "pair", "--bind", "bob=acme", "-o", str(tmp_path / "out"))
    assert call(*arguments)[0] == 0
    assert call(*arguments, "--check")[0] == 0
    (tmp_path / "out" / "compose.yaml").write_text("")
    code, out, _ = call(*arguments, "--check")
    assert code == 1
    assert "compose.yaml" in out


def test_quiet_leaves_hints_out(call, root, tmp_path):
    assert call("-q", "render", "pair", "--bind", "bob=acme", "-o", str(tmp_path / "out"))[2] == ""
