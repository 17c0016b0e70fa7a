"""A vendor at its worst, in every way that its flavours know, in one matrix with one that behaves: whom it harms, and who is blamed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from lab_home import make_home, siplab

from lab.report.run import Run
from lab.runtime.docker import DockerRuntime
from lab.runtime.labels import MARK, RUN
from lab.session.selection import images_for, select
from lab.verdict.model import Status

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

REPOSITORY = Path(__file__).parents[2]
HOSTILE = Path(__file__).parent / "hostile"
LARGEST_MB, LARGEST_PAIRING_MB = 40, 60
REASONS = {
    "crash": "alice died by signal 11 (SIGSEGV); last log lines:",
    "exit": "alice ended with exit code 3; last log lines:",
    "mute": "alice (hostile@mute): alice: hello: no answer within 45 s",
    "hang": "alice (hostile@hang): alice: reset: no answer within 10 s",
    "events": "alice flooded its output: more than 5000 events since its reset",
    "line": "alice flooded its output: a line of more than 65536 bytes",
    "stderr": "alice flooded its output: more than 20 MB of log during one scenario",
    "rubbish": "alice not protocol on its output: ",
    "lies": "alice: register: failed 1000000",
    "leak": "alice was killed: memory limit of 64 MB",
    "forks": "it is at its limit of 32 processes",
    "garbage": "REGISTER from alice is malformed (no valid Call-ID) [frame ",
    "wire": "alice flooded the network: 20001 packets, 23 MB during one scenario",
}


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> tuple[subprocess.CompletedProcess[str], Run]:
    """Every flavour of the hostile vendor, and one that behaves, each with the same other side; four pairings at a time."""
    images_for(select("trapezoid", ["alice=pjsip", "bob=pjsip"], REPOSITORY))  # what the hostile image is made from
    home = make_home(tmp_path_factory.mktemp("home"))
    bound = ("--bind", "alice=hostile@all,pjsip", "--bind", "bob=pjsip")
    ended = siplab(home, "run", "trapezoid", "--vendor", f"hostile={HOSTILE}", *bound, "-k", "busy", "-j", "4", within=500)
    return ended, Run((home / "results" / "latest").resolve(strict=True))


def test_each_way_fails_its_own_cell_with_blame_and_reason(done):
    _, run = done
    found = {cell.binding["alice"].partition("@")[2]: cell.verdict for cell in run.cells() if cell.binding["alice"].startswith("hostile")}
    assert found.keys() == REASONS.keys()
    wrong = {flavour: verdict for flavour, verdict in found.items() if (verdict.status, verdict.blame) != (Status.FAIL, "alice")}
    assert not wrong
    assert {flavour: verdict.reason for flavour, verdict in found.items() if REASONS[flavour] not in verdict.reason} == {}


def test_nobody_else_is_harmed(done):
    ended, run = done
    (other,) = [cell for cell in run.cells() if cell.binding["alice"].startswith("pjsip")]
    assert (other.verdict.status, len(other.attempts)) == (Status.PASS, 1)
    assert ended.returncode == 1


def test_evidence_is_bounded(done):
    _, run = done
    sizes = {path: path.stat().st_size / 1e6 for path in run.folder.rglob("*") if path.is_file() and not path.is_symlink()}
    assert {path: size for path, size in sizes.items() if size > LARGEST_MB} == {}
    for pairing in (run.folder / "pairings").iterdir():
        assert sum(size for path, size in sizes.items() if pairing in path.parents) < LARGEST_PAIRING_MB
    assert max(len(line) for line in run.cells_file.read_bytes().splitlines()) < 10_000


def test_what_it_says_is_shown_and_does_nothing(done):
    ended, run = done
    page = (run.folder / "index.html").read_text()
    for text in (ended.stdout, ended.stderr, page):
        assert not set("\x1b\x07\x00\u202e") & set(text)
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    for path in run.folder.rglob("*.xml"):
        ElementTree.parse(path)
    for path in run.folder.rglob("ladder.svg"):
        ElementTree.parse(path)
    for path in run.folder.rglob("pairing.json"):
        json.loads(path.read_text())


def test_nothing_is_left_of_it(done):
    _, run = done
    assert DockerRuntime().inventory({MARK: "1", RUN: run.id}) == []
