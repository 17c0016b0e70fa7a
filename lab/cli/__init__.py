"""The command line: parse, call, print. No logic."""

from __future__ import annotations

import io
import sys
import traceback
from contextlib import suppress

import click

from lab.cli import inspect, live, machine, running, servers, topology, vendor
from lab.cli.output import Output
from lab.errors import LabError
from lab.verdict.decide import one_line

EPILOG = "Exit codes: 0 all as expected, 1 a verdict failed, 2 usage or invalid file, 3 inconclusive, 5 nothing selected, 130 interrupted."


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "SIPLAB"})
@click.version_option(package_name="siplab", prog_name="siplab")
@click.option("-q", "--quiet", is_flag=True, help="No progress, no hints: results and errors only.")
@click.option("-v", "--verbose", count=True, help="More progress; twice for tracebacks.")
@click.pass_context
def siplab(context: click.Context, quiet: bool, verbose: int) -> None:
    """Real SIP elements on sealed Docker networks, and verdicts that can be trusted."""
    context.obj = Output(quiet=quiet, verbose=verbose)


for command in (
    *machine.COMMANDS,
    *inspect.COMMANDS,
    *topology.COMMANDS,
    *running.COMMANDS,
    *live.COMMANDS,
    *servers.COMMANDS,
    *vendor.COMMANDS,
):
    siplab.add_command(command)


def main() -> None:
    """Entry point: every error that siplab raises on purpose is one line on stderr and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ✓ shows a question mark
    sys.exit(_run())


def _run() -> int:
    try:
        code = siplab.main(standalone_mode=False)
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = error.exit_code
    except click.ClickException as error:
        _complain(f"siplab: {_usage(error)}")
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        _complain("interrupted")
        code = 130
    except BrokenPipeError:
        code = 0  # who read the data has enough of it (`| head -1`)
    except (LabError, OSError) as error:
        if "-vv" in sys.argv:
            traceback.print_exc()
        for each in getattr(error, "errors", (error,)):
            _complain(f"siplab: {_system_line(each) if isinstance(each, OSError) else each}")
        code = getattr(error, "exit_code", LabError.exit_code)
    return code if isinstance(code, int) else 0


def _complain(text: str) -> None:
    """One line on stderr."""
    with suppress(BrokenPipeError):
        click.echo(text, err=True)


def _usage(error: click.ClickException) -> str:
    """What is wrong with a command line, and where its help is."""
    context = getattr(error, "ctx", None)
    help_ = f" (see `{context.command_path} --help`)" if context else ""
    text = one_line(error.format_message(), 1000).removesuffix(".")
    return text[:1].lower() + text[1:] + help_


def _system_line(error: OSError) -> str:
    """What the machine refused, such as to write a file: what to do about it is in the operating system's words."""
    where = f"{error.filename}: " if error.filename else ""
    return one_line(f"{where}{error.strerror or error}; check its owner, its permissions and the disk, -vv tells more", 1000)
