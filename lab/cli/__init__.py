"""The command line: parse, call, print. No logic."""

from __future__ import annotations

import signal
import sys

import click

from lab.cli import inspect, live, machine, running, servers, topology, vendor
from lab.cli.output import Output
from lab.errors import LabError

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
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # how CI systems cancel: clean up as for Ctrl-C
    try:
        code = siplab.main(standalone_mode=False)
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        code = 130
    except LabError as error:
        if "-vv" in sys.argv:
            raise
        for each in getattr(error, "errors", (error,)):
            click.echo(f"siplab: {each}", err=True)
        code = error.exit_code
    except BrokenPipeError:
        code = 0
    sys.exit(code if isinstance(code, int) else 0)
