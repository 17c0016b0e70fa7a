"""Progress as a person sees it, and as a log file does."""

import io

import pytest
from rich.console import Console

from lab.cli.output import Output
from lab.cli.progress import RunProgress


@pytest.fixture
def written():
    return io.StringIO()


def play(console, *, quiet=False):
    output = Output(quiet=quiet, progress=console)
    with RunProgress(output, {"p1": 2, "p2": 2}) as progress:
        progress.say("p1", {"selected": 2})
        progress.say("p1", {"cell": "call[udp+rtp]", "status": "pass"})
        progress._bars.refresh()
        progress.say("p1", {"cell": "busy", "status": "fail"})
        progress.say("p1", {"ended": 0})
        progress.say("p2", {"ended": -9})


def test_on_a_terminal_names_are_shown_whole(written):
    play(Console(file=written, force_terminal=True, width=150))
    assert "call[udp+rtp] ✓" in written.getvalue()


def test_in_a_file_a_line_per_pairing(written):
    play(Console(file=written, force_terminal=False, width=150))
    assert [line.rstrip() for line in written.getvalue().splitlines()] == ["p1: ✓✗", "p2:"]


def test_quiet_is_quiet(written):
    play(Console(file=written, force_terminal=True, width=150), quiet=True)
    assert "p1" not in written.getvalue()
