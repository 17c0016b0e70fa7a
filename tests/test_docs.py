"""Documents that cannot lie about what can be checked: commands, options, links, tables and examples."""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import get_type_hints

import click
import pytest
from pydantic import BaseModel
from test_architecture import ALLOWED, FREE

from lab.agents.call import Call
from lab.agents.user_agent import UserAgent
from lab.cli import siplab
from lab.cli.topology import wanted_documents
from lab.session.lab import Lab
from lab.spec.catalog import vendors
from lab.spec.expectation import ExpectationFile
from lab.spec.loader import parse_document
from lab.spec.references import problems
from lab.spec.role import ROLES
from lab.spec.topology import DomainSpec, ElementSpec, NetworkSpec, RouteSpec, Topology
from lab.spec.validation import validated
from lab.spec.vendor import Flavour, InRole, Ready, Vendor
from lab.verdict.decide import EXIT_CODES

ROOT = Path(__file__).resolve().parents[1]
PLACES = ("*.md", "docs/**/*.md", "images/**/*.md", "compose/*.md", "scenarios/*.md", "topologies/*.md", "results/README.md")
DOCUMENTS = sorted({path for pattern in PLACES for path in ROOT.glob(pattern)})
COMMAND = re.compile(r"(?:^|(?<=[\s/]))(siplab|make) +([^#|;&`]+)")
SCRIPTS = {"sh", "yaml"}
FOREIGN = re.compile(r"\.\./shared|/work/|/root/|/home/|\b10\.255\.|\b192\.0\.2\.|\b203\.0\.113\.")

each_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def blocks(text: str, language: str) -> list[str]:
    """Fenced code blocks of one language."""
    return [code for tag, code in re.findall(r"^ *```(\w*)\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL) if tag == language]


def prose(text: str) -> str:
    """A document without its code blocks."""
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    part = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = re.search(r"(?:^\|.*\n?)+", part, re.MULTILINE)
    assert lines, f"no table below {heading}"
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))] for line in lines[0].strip().splitlines()[2:]]


# -- commands -------------------------------------------------------------------------------------------------------------------------


def commands(text: str) -> Iterator[tuple[str, str]]:
    """(program, arguments) of everything that a reader may type: lines of scripts, and code spans that begin with the program."""
    scripts = "\n".join(code for language in SCRIPTS for code in blocks(text, language))
    for line in scripts.splitlines():
        yield from COMMAND.findall(line.split("#", 1)[0])
    for span in re.findall(r"`([^`\n]+)`", prose(text)):
        if span.startswith(("siplab ", "make ")):
            yield from COMMAND.findall(span)


def targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))


def wrong_make(arguments: str) -> str:
    words = [word for word in shlex.split(arguments) if "=" not in word]
    unknown = [word for word in words if word.islower() and word not in targets()]
    return f"make has no target {unknown[0]}" if unknown else ""


def option_of(command: click.Command, word: str) -> click.Parameter | None:
    name = word.split("=", 1)[0]
    found = (p for p in command.params if name in p.opts or (not name.startswith("--") and name[:2] in p.opts))
    return click.Option(["--help"], is_flag=True) if name in ("-h", "--help") else next(found, None)


def is_placeholder(word: str) -> bool:
    return word in ("…", "...") or word.strip("[]…").isupper()


def wrong_siplab(arguments: str) -> str:
    """What is wrong with a command line, or nothing. Values are not looked at."""
    command: click.Command = siplab
    words = [word for word in shlex.split(arguments) if not (word.startswith("[") and is_placeholder(word)) and word != "…"]
    given = 0
    while words:
        word = words.pop(0)
        if given and not command.context_settings.get("allow_interspersed_args", True):
            return ""  # from here on it is another program's command line
        if word.startswith("-") and word != "-":
            option = option_of(command, word)
            if option is None:
                return f"{command.name} has no option {word}"
            takes_value = isinstance(option, click.Option) and not option.is_flag and not option.count
            if takes_value and "=" not in word and (word.startswith("--") or len(word) == 2):
                words[:1] = []
        elif isinstance(command, click.Group):
            if word not in command.commands:
                return "" if is_placeholder(word) else f"{command.name} has no command {word}"
            command = command.commands[word]
        else:
            given += 1
    places = [p for p in command.params if isinstance(p, click.Argument)]
    too_many = given > len(places) and not any(p.nargs == -1 for p in places)
    return f"{command.name} takes {len(places)} arguments, not {given}" if too_many else ""


@each_document
def test_commands_exist(path: Path) -> None:
    check = {"siplab": wrong_siplab, "make": wrong_make}
    wrong = [f"{program} {rest}: {why}" for program, rest in commands(path.read_text("utf-8")) if (why := check[program](rest.strip()))]
    assert wrong == []


def test_the_readme_has_the_two_commands() -> None:
    assert {("make", "matrix"), ("make", "test")} <= {(program, rest.strip()) for program, rest in commands(read("README.md"))}


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("run trapezoid --bind alice=all -k hold", ""),
        ("run trapezoid -j4 --json", ""),
        ("-q run trapezoid", ""),
        ("COMMAND --help", ""),
        ("[OPTIONS] COMMAND …", ""),
        ("topologies schema --vendor", ""),
        ("validate one two", ""),
        ("fly", "siplab has no command fly"),
        ("run trapezoid --fast", "run has no option --fast"),
        ("plan trapezoid -k hold", "plan has no option -k"),
        ("shell pa ls -l", ""),
        ("shell -l pa ls", "shell has no option -l"),
        ("report one two", "report takes 1 arguments, not 2"),
    ],
)
def test_the_rule_for_commands_sees(line: str, wrong: str) -> None:
    assert wrong_siplab(line) == wrong


def test_the_rule_for_make_sees() -> None:
    assert wrong_make("everything")
    assert not wrong_make('matrix ARGS="-j 4"')
    assert list(commands("```sh\n.venv/bin/siplab ps   # siplab none\n```\nsay `make test`")) == [("siplab", "ps   "), ("make", "test")]


# -- the command line reference -----------------------------------------------------------------------------------------------------------


def tree(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield name, command
        return
    if command.invoke_without_command:
        yield name, command
    for child in command.commands.values():
        yield from tree(child, f"{name} {child.name}")


LEAVES = dict(tree(siplab, "siplab"))


def sections(text: str) -> dict[str, str]:
    parts = re.split(r"^## (.*)\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def described(section: str) -> set[str]:
    return {name for cell in re.findall(r"^\| (`-.*?) \|", section, re.MULTILINE) for name in re.findall(r"`(--?[a-z-]+)", cell)}


@pytest.mark.parametrize("name", LEAVES)
def test_every_command_and_option_is_in_the_reference(name: str) -> None:
    command = LEAVES[name]
    places = "".join(f" {p.human_readable_name.upper()}" for p in command.params if isinstance(p, click.Argument))
    found = {re.sub(r"[\[\]]", "", title): text for title, text in sections(read("docs/reference/cli.md")).items()}
    section = found.get(name + places)
    assert section is not None, f"docs/reference/cli.md: no heading ## {name}{places}"
    assert described(section) == {opt for p in command.params if isinstance(p, click.Option) for opt in p.opts}


def test_the_reference_has_nothing_else() -> None:
    titles = [title for title in sections(read("docs/reference/cli.md")) if title.startswith("siplab ")]
    assert len(titles) == len(LEAVES)


def test_global_options_pytest_options_and_targets_are_in_the_reference() -> None:
    found = sections(read("docs/reference/cli.md"))
    assert described(found["Everywhere"]) == {opt for p in siplab.params for opt in p.opts} | {"-h", "--help"}
    assert described(found["pytest"]) == set(re.findall(r'addoption\("(--[a-z-]+)"', read("lab/pytest_plugin.py")))
    assert set(re.findall(r"^\| `make ([a-z]+)`", found["make"], re.MULTILINE)) == targets()


# -- links and places -----------------------------------------------------------------------------------------------------------------


def anchors(path: Path) -> set[str]:
    """Headings as GitHub names them."""
    headings = re.findall(r"^#+ (.*)$", prose(path.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_document
def test_links_lead_somewhere(path: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(path.read_text("utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        there = (path.parent / name).resolve() if name else path
        if not there.exists() or (anchor and there.suffix == ".md" and anchor not in anchors(there)):
            broken.append(target)
    assert broken == []


@each_document
def test_no_place_of_one_machine(path: Path) -> None:
    assert FOREIGN.findall(path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if path.is_relative_to(ROOT / "docs")], ids=lambda path: path.name)
def test_python_examples_are_python(path: Path) -> None:
    for code in blocks(path.read_text("utf-8"), "python"):
        if not code[0].isspace():
            compile(code, str(path), "exec")


@pytest.mark.parametrize(
    ("document", "pattern"), [("scenarios/README.md", "scenarios/test_*.py"), ("topologies/README.md", "topologies/*.yaml")]
)
def test_lists_are_complete(document: str, pattern: str) -> None:
    assert set(re.findall(r"^\| `([^`]+)`", read(document), re.MULTILINE)) == {path.name for path in ROOT.glob(pattern)}


# -- tables that repeat the code ---------------------------------------------------------------------------------------------------------


def test_the_import_table_is_the_enforced_one() -> None:
    table = rows(read("ARCHITECTURE.md"), "Who may import what")
    written = {row[0].strip("`"): set(re.findall(r"`(\w+)`", row[1])) for row in table if row[1] != "everything"}
    assert written == ALLOWED
    assert {row[0].strip("`") for row in table if row[1] == "everything"} == FREE - {"__init__", "__main__"}


def test_the_libraries_are_the_dependencies() -> None:
    wanted = re.search(r"^dependencies = \[(.*?)^\]", read("pyproject.toml"), re.MULTILINE | re.DOTALL)
    assert wanted
    names = {name.lower() for name in re.findall(r'"([A-Za-z0-9_-]+)', wanted[1])}
    assert {row[0].lower() for row in rows(read("ARCHITECTURE.md"), "Libraries, and why")} == names


def keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    return [f"{prefix}{field.alias or name}" for name, field in model.model_fields.items()]


def first_column(table: Sequence[Sequence[str]]) -> list[str]:
    return [row[0].strip("`") for row in table]


def test_every_key_of_the_topology_language() -> None:
    wanted = [
        *keys(Topology),
        *keys(NetworkSpec, "networks.<network>."),
        *keys(DomainSpec, "domains.<domain>."),
        *keys(RouteSpec, "domains.<domain>.routes[]."),
    ]
    wanted += keys(ElementSpec, "elements.<element>.")
    assert sorted(first_column(rows(read("docs/reference/topology-language.md"), "Keys"))) == sorted(wanted)


def test_every_key_of_the_manifest() -> None:
    wanted = [*keys(Vendor), *keys(Flavour, "flavours.<flavour>."), *keys(Ready, "ready.")]
    assert sorted(first_column(rows(read("docs/reference/vendor-manifest.md"), "Keys"))) == sorted(wanted)


def test_every_key_that_can_differ_by_role() -> None:
    sentence = read("docs/reference/vendor-manifest.md").partition("keys can be:")[2].partition("\n")[0]
    assert sorted(re.findall(r"`(\w+)`", sentence)) == sorted(keys(InRole))


def test_every_role() -> None:
    assert first_column(rows(read("docs/reference/topology-language.md"), "Roles")) == list(ROLES)


def test_every_status_with_its_exit_code() -> None:
    table = rows(read("docs/explanation/verdicts.md"), "The six statuses")
    assert {row[1].strip("`"): int(row[3]) for row in table} == {status.value: code for status, code in EXIT_CODES.items()}


def test_every_topology_has_its_section_and_picture() -> None:
    wanted = wanted_documents(ROOT)
    stale = [path for path, text in wanted.items() if not (ROOT / path).is_file() or read(path) != text]
    superfluous = {f"docs/pictures/{path.name}" for path in (ROOT / "docs" / "pictures").glob("*.svg")} - wanted.keys()
    assert (stale, superfluous) == ([], set()), "run: make pictures"


OBJECTS: dict[str, type] = {"lab": Lab, "alice": UserAgent, "bob": UserAgent, "call": Call, "leg": Call}


def reached(text: str) -> tuple[object, object]:
    """What `lab.wire.octets("internet").hide` comes to, and what that is a member of; AttributeError where it is none."""
    start, *names = text.split(".")
    owner, found = None, OBJECTS[start]
    for name in names:
        owner, member = found, inspect.getattr_static(found, name)
        found = get_type_hints(member.fget if isinstance(member, property) else member)["return"]
    return owner, found


def without_arguments(code: str) -> str:
    while code != (code := re.sub(r"\([^()]*\)", "", code)):
        pass
    return code


def members_of(first: str, second: str) -> Iterator[tuple[tuple[object, ...], str]]:
    """(who should have it, name) of all that a row of the table promises."""
    owner, found = None, None
    for code in map(without_arguments, re.findall(r"`([^`]+)`", first)):
        for word in code.split():
            if word.startswith("."):
                yield (owner, found), word[1:]
            elif word.partition(".")[0] in OBJECTS:
                owner, found = reached(word)
    names = [without_arguments(code) for code in re.findall(r"`([^`]+)`", second)]
    if first.startswith(("`lab.wire.", "`lab.trunk")):
        yield from (((owner, found), name) for name in names if re.fullmatch(r"[a-z_0-9]+", name) and name not in ("domain",))
    yield from (((owner, found), name[1:]) for name in names if re.fullmatch(r"\.[a-z_]+", name) and name not in (".code",))


def test_what_a_scenario_is_told_it_has_is_there() -> None:
    table = rows(read("docs/how-to/write-a-scenario.md"), "What there is")
    promised = [each for row in table for each in members_of(row[0], row[1])]
    assert len(promised) > 100
    assert [name for owners, name in promised if not any(name in dir(owner) or name in fields_of(owner) for owner in owners)] == []


def fields_of(owner: object) -> list[str]:
    """Members that instances have and the class has not."""
    if is_dataclass(owner):
        return [field.name for field in fields(owner)]
    return re.findall(r"self\.(\w+) =", inspect.getsource(owner)) if inspect.isclass(owner) else []


# -- examples that are files ---------------------------------------------------------------------------------------------------------------


def example(document: str, number: int = 0) -> str:
    return [code for code in blocks(read(document), "yaml") if code.startswith("schema: 1")][number]


def test_the_topology_example_is_valid() -> None:
    topology = validated(parse_document(example("docs/reference/topology-language.md"), "example.yaml"), Topology)
    assert list(problems(topology, vendors(ROOT))) == []


def test_the_manifest_example_is_valid() -> None:
    assert validated(parse_document(example("docs/reference/vendor-manifest.md"), "vendor.yaml"), Vendor).name == "acme"


def test_the_expectations_example_is_valid() -> None:
    document = parse_document(example("docs/how-to/run-in-ci.md"), "expectations.yaml")
    assert len(validated(document, ExpectationFile).expectations) == 1
