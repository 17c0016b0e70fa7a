"""`siplab dns` and `siplab nat`: servers of a lab that is up, told things by their own names. What there is to tell is theirs to say."""

from __future__ import annotations

import json
from typing import Any

import click

from lab.cli.complete import element_names, fault_kinds
from lab.cli.inspect import as_json
from lab.cli.live import lab_option, results
from lab.cli.output import Output
from lab.cli.people import parameters, show_rows, show_told
from lab.errors import AgentError, SpecError
from lab.live.found import Found, pick

server_option = click.option(
    "--server", default="", metavar="ELEMENT", shell_complete=element_names, help="Which name server (default: the only one)."
)


@click.group("dns")
def dns() -> None:
    """Make a lab's name server wrong while it runs, and see what it was asked."""


def _dns(lab: str, server: str, method: str, **params: object) -> dict[str, Any]:
    try:
        answer = pick(results(), lab).ask("agent", element=server, role="dns", method=method, params=params)
    except AgentError as error:
        if error.code != "bad-params":
            raise
        raise SpecError(str(error).replace(f"{method}: {error.code}: ", "")) from error  # the name server is right: it was asked wrongly
    return {"element": answer["element"], **answer["answer"]}


@dns.command("fault")
@click.argument("kind", shell_complete=fault_kinds)
@click.argument("name", required=False)
@click.argument("parameters_", metavar="PARAMETERS", nargs=-1)
@server_option
@lab_option
@as_json
@click.pass_obj
def fault(output: Output, kind: str, name: str | None, parameters_: tuple[str, ...], server: str, lab: str, json_: bool) -> None:
    """Answer wrongly from now on: KIND for NAME (`*` is any), narrowed by PARAMETERS as KEY=VALUE.

    Kinds and parameters are the name server's own. It lists them when it is told one that it does not know.
    """
    given = parameters(parameters_)
    if name and "=" in name:
        given, name = parameters((name, *parameters_)), None
    made = _dns(lab, server, "fault.set", kind=kind, **({"name": name} if name else {}), **given)
    if json_:
        output.data(made)
    else:
        output.line(f"{made['element']}: {kind} {name or 'for every name'} is in force as {made.get('fault', 'a fault')}")
        output.hint("`siplab dns clear` brings the truth back")


@dns.command("clear")
@click.argument("fault", required=False)
@server_option
@lab_option
@click.pass_obj
def clear(output: Output, fault: str | None, server: str, lab: str) -> None:
    """Lift one FAULT (the id that `siplab dns fault` printed), or all: the name server tells the truth again."""
    done = _dns(lab, server, "fault.clear", **({"fault": fault} if fault else {}))
    output.line(f"{done['element']}: {fault or 'every fault'} is lifted")


@dns.command("log")
@click.option("-n", "--lines", default=20, type=click.IntRange(0), show_default=True, metavar="N", help="Only the last N questions.")
@server_option
@lab_option
@as_json
@click.pass_obj
def log(output: Output, lines: int, server: str, lab: str, json_: bool) -> None:
    """List what the name server was asked, and what it answered."""
    found: list[dict[str, Any]] = []
    more = True
    while more:
        answer = _dns(lab, server, "queries", after=found[-1]["seq"] if found else 0)
        found += answer.get("queries", [])
        more = bool(answer.get("more")) and bool(answer.get("queries"))
    shown = found[-lines:] if lines else []
    if json_:
        output.data(shown)
    elif not shown:
        output.hint("it was asked nothing")
    else:
        show_rows(output, [{key: value for key, value in row.items() if key != "seq"} for row in shown])


@click.group("nat")
def nat() -> None:
    """Look at a lab's address translators, and make them forget."""


@nat.command("show")
@click.argument("element", required=False, shell_complete=element_names)
@lab_option
@as_json
@click.pass_obj
def show(output: Output, element: str | None, lab: str, json_: bool) -> None:
    """List the translations of ELEMENT, or of every NAT."""
    told = {name: _parsed(text) for name, text in _each(pick(results(), lab), element, "show").items()}
    if json_:
        output.data(told)
        return
    for name, value in told.items():
        show_told(output, name, value)


@nat.command("flush")
@click.argument("element", required=False, shell_complete=element_names)
@lab_option
@click.pass_obj
def flush(output: Output, element: str | None, lab: str) -> None:
    """Make ELEMENT, or every NAT, forget all translations, as after a restart."""
    for name in _each(pick(results(), lab), element, "flush-bindings"):
        output.line(f"{name}: every translation is forgotten")


def _each(lab: Found, element: str | None, command: str) -> dict[str, str]:
    """What a control command of each NAT, or of one, printed."""
    names = [element] if element else [e["name"] for e in lab.status["elements"] if e["role"] == "nat"]
    if not names:
        raise click.UsageError(f"lab {lab.label} has no element with the role nat")
    return {name: str(lab.ask("control", element=name, role="nat", command=command)["output"]) for name in names}


def _parsed(text: str) -> object:
    """What is JSON is data, anything else text."""
    try:
        return json.loads(text)
    except ValueError:
        return text.strip()


COMMANDS = (dns, nat)
