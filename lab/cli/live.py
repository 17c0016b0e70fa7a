"""Commands about labs that stay up: start one, look into it, make calls, take it down."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import click

from lab.cli.complete import element_names, lab_names
from lab.cli.inspect import as_json, bind, external, seed, topology_argument
from lab.cli.machine import image_progress
from lab.cli.output import Output
from lab.cli.people import coloured, show_status
from lab.errors import SpecError
from lab.live.engine import container, seen
from lab.live.found import Found, pick, running
from lab.live.start import Order, bring_up, chosen, detach, new_folder
from lab.picture.model import clean
from lab.runtime.docker import DockerRuntime
from lab.runtime.docker_terminal import TerminalRuntime
from lab.runtime.labels import LAB, MARK
from lab.runtime.reaper import remove_lab, sweep
from lab.session.selection import images_for, open_runtime
from lab.spec.catalog import project_root
from lab.verdict.decide import EXIT_CODES
from lab.verdict.model import Status

SHELL = ("sh", "-c", "exec $(command -v bash || echo sh)")

lab_option = click.option(
    "--lab", "lab", default="", metavar="LAB", shell_complete=lab_names, help="Which lab, by id or topology (default: the one that is up)."
)


def results() -> Path:
    """Where labs that are up have their folders."""
    return project_root() / "results"


@click.command("up")
@topology_argument
@bind
@external
@seed
@click.option("-d", "--detach", "detached", is_flag=True, help="Return when the lab is up; `siplab down` ends it.")
@as_json
@click.pass_obj
def up(output: Output, topology: str, bind: tuple[str, ...], external: tuple[str, ...], seed: int, detached: bool, json_: bool) -> None:
    """Keep a lab running for people, until Ctrl-C or (with --detach) `siplab down`."""
    selected = chosen(topology, bind, external)
    runtime = open_runtime()
    with image_progress(output) as progress:
        images_for(selected, progress)
    folder = new_folder(selected.root, selected.topology.name)
    order = Order(topology, bind, external, seed, str(folder))
    output.hint(f"bringing up {selected.topology.name} …")
    begun = time.monotonic()
    if detached:
        detach(order, selected.root)
        (lab,) = [lab for lab in running(results()) if lab.folder == folder]
        output.hint(f"up after {time.monotonic() - begun:.1f} s")
        _present(output, lab.status, json_)
        output.hint(f"it stays up until: siplab down {lab.lab}")
        return
    owner = bring_up(selected, order, runtime)
    try:
        output.hint(f"up after {time.monotonic() - begun:.1f} s")
        _present(output, owner.status(), json_)
        output.hint("Ctrl-C takes the lab down. SIP messages as they cross the wire:")
        owner.serve(output.line)
    except (KeyboardInterrupt, BrokenPipeError):
        output.hint("")
    output.hint("taking the lab down …")
    owner.down(output.hint)
    output.hint(f"down; its evidence is in {folder}")


def _present(output: Output, status: dict[str, Any], json_: bool) -> None:
    if json_:
        output.data(status)
    else:
        show_status(output, status)


@click.command("ps")
@as_json
@click.pass_obj
def ps(output: Output, json_: bool) -> None:
    """List the labs that are on the engine now, and whose they are."""
    found = seen(DockerRuntime(), running(results()))
    if json_:
        output.data([lab.to_dict() for lab in found])
    elif not found:
        output.hint("no lab is on the engine")
    else:
        rows = [(lab.lab, lab.topology, lab.keeper, " ".join(lab.elements), f"{len(lab.objects)}") for lab in found]
        output.table(("lab", "topology", "kept by", "elements", "objects"), rows)


@click.command("down")
@click.argument("lab_id", required=False, shell_complete=lab_names)
@click.option("--all", "everything", is_flag=True, help="Every lab on the engine, also those that others use.")
@click.pass_obj
def down(output: Output, lab_id: str | None, everything: bool) -> None:
    """Take down the lab that is up (or LAB_ID), saving its evidence, and remove what dead owners left behind."""
    runtime = DockerRuntime()
    if everything:
        output.line(f"{remove_lab(runtime, {MARK: '1'})} objects removed")
        return
    kept = running(results())
    if lab_id and not [lab for lab in kept if lab.lab.startswith(lab_id) or lab.status["topology"] == lab_id]:
        removed = remove_lab(runtime, {MARK: "1", LAB: lab_id})
        if not removed:
            raise SpecError(f'no lab "{lab_id}" is on the engine', remedy="see `siplab ps`: a lab that is not yours goes by its whole id")
        output.line(f"{removed} objects of lab {lab_id} removed")
        return
    if kept:
        _end(output, pick(results(), lab_id or ""))
    abandoned = len(sweep(runtime))
    if abandoned or not kept:
        output.line(f"{abandoned} abandoned lab(s) removed")


def _end(output: Output, lab: Found) -> None:
    output.hint(f"taking lab {lab.label} down …")
    ended = lab.ask("down")
    for line in ended.get("guests", []):
        output.line(line)
    output.line(f"lab {lab.label} is down; its evidence is in {ended['folder']}")


@click.command("logs")
@click.argument("element", shell_complete=element_names)
@lab_option
@click.option("-f", "--follow", is_flag=True, help="Go on as the element writes more, until Ctrl-C.")
@click.option("-n", "--lines", type=click.IntRange(0), metavar="N", help="Only the last N lines (default: all).")
@click.pass_obj
def logs(output: Output, element: str, lab: str, follow: bool, lines: int | None) -> None:
    """Print what an element wrote to stdout and stderr. Control characters are replaced."""
    runtime = DockerRuntime()
    handle = container(runtime, _lab_id(lab), element)
    written = runtime.logs(handle, tail=lines)
    if not follow:
        _print_log(output, written)
        return
    rest = b""
    skip = max(0, len(runtime.logs(handle).splitlines()) - lines) if lines is not None else 0
    for chunk in runtime.follow_logs(handle).chunks():
        *whole, rest = (rest + chunk).split(b"\n")
        shown, skip = whole[skip:], max(0, skip - len(whole))
        for line in shown:
            _print_log(output, line)
    _print_log(output, rest)  # what it wrote last, without an end of line


def _print_log(output: Output, written: bytes) -> None:
    for line in written.decode("utf-8", "replace").splitlines() or [""] * bool(written):
        output.line(clean(line.replace("\t", "    ")))


def _lab_id(wanted: str) -> str:
    """A lab that is kept up from here, or any that the engine has under exactly this id."""
    if wanted and DockerRuntime().inventory({MARK: "1", LAB: wanted}):
        return wanted
    return pick(results(), wanted).lab


@click.command("shell", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@lab_option
@click.argument("element", shell_complete=element_names)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def shell(output: Output, element: str, command: tuple[str, ...], lab: str) -> None:
    """Open a shell in an element's container, or run COMMAND there. Where stdin is no terminal, it is what the shell reads."""
    runtime = TerminalRuntime()
    handle = container(runtime, _lab_id(lab), element)
    if sys.stdin.isatty() and sys.stdout.isatty():
        raise click.exceptions.Exit(runtime.interactive(handle, command or SHELL))
    given = b"" if sys.stdin.isatty() else sys.stdin.buffer.read()
    done = runtime.exec(handle, command or ("sh",), stdin=given, timeout=600)
    sys.stdout.buffer.write(done.stdout)
    sys.stderr.buffer.write(done.stderr)
    raise click.exceptions.Exit(done.exit_code)


@click.command("call")
@click.argument("caller", shell_complete=element_names)
@click.argument("callee", shell_complete=element_names)
@lab_option
@click.option("--seconds", default=2.0, show_default=True, type=click.FloatRange(0.5, 25), help="How long both are listened to.")
@click.option("--transport", default="udp", show_default=True, type=click.Choice(["udp", "tcp", "tls"]), help="How both register.")
@click.option("--media", default="rtp", show_default=True, type=click.Choice(["rtp", "sdes", "dtls", "zrtp"]), help="How media are keyed.")
@click.option("--keep", is_flag=True, help="Leave the call up; `siplab hangup` ends it.")
@as_json
@click.pass_obj
def call(output: Output, /, caller: str, callee: str, lab: str, json_: bool, **options: Any) -> None:
    """Make CALLER call CALLEE: both register, talk, and hear each other's tone. Prints the ladder and the verdict.

    CALLEE may also be a user of the caller's domain or a SIP URI.
    Where that is no user agent of the lab, it is enough that somebody answers.
    """
    placed = pick(results(), lab).ask("call", output.hint, caller=caller, callee=callee, **options)
    status = Status(placed["verdict"]["status"])
    with output.read_or_not():
        if json_:
            output.data(placed)
        else:
            _show_call(output, status, placed)
    raise click.exceptions.Exit(EXIT_CODES[status])


def _show_call(output: Output, status: Status, placed: dict[str, Any]) -> None:
    output.line(placed["ladder"].rstrip())
    blame = f" (blame: {placed['verdict']['blame']})" if placed["verdict"]["blame"] else ""
    reason = f": {placed['verdict']['reason']}{blame}" if placed["verdict"]["reason"] else ""
    output.line(coloured(status, f"{status.value}{reason}"))
    output.hint(f"recordings, ladder and timeline: {placed['folder']}")
    if placed["kept"]:
        output.hint("the call is up; `siplab hangup` ends it")


@click.command("hangup")
@lab_option
@click.pass_obj
def hangup(output: Output, lab: str) -> None:
    """End the calls that were left up by `siplab call --keep`."""
    ended = pick(results(), lab).ask("hangup")
    output.line(f"{ended['calls']} call(s) ended")


COMMANDS = (up, ps, down, logs, shell, call, hangup)
