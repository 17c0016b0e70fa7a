"""Whom a hostile vendor delays: `.venv/bin/python tests/bench/hostile.py [FLAVOUR…]` prints the rows of a Markdown table.

A pairing of PJSIP with itself runs some scenarios alone, then beside a pairing of the hostile vendor of the tests, two labs at a time. Own:
the sum of its cells' seconds, as a multiple of what they took alone right before. Whole: seconds until the run with the hostile pairing had
ended, its cells at their deadlines and its lab gone. Times of one machine under load: compare, do not add.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lab.report.run import Run

ROOT = Path(__file__).parents[2]
HOSTILE = ROOT / "tests/integration/hostile"
WORST = ("crash", "mute", "hang", "events", "stderr", "leak", "forks", "wire")


def run(home, alices):
    """One run: seconds of the cells of PJSIP with itself, all of which have to pass, and seconds of the whole."""
    command = [sys.executable, "-c", "from lab.cli import main; main()", "run", "trapezoid", "--vendor", f"hostile={HOSTILE}"]
    command += ["--bind", f"alice={alices}", "--bind", "bob=pjsip", "-k", "busy or cancel or refusals", "-j", "2"]
    begun = time.monotonic()
    subprocess.run(command, env={**os.environ, "SIPLAB_HOME": str(home)}, capture_output=True, timeout=600, check=False)
    whole = time.monotonic() - begun
    cells = [cell for cell in Run((home / "results/latest").resolve(strict=True)).cells() if cell.binding["alice"].startswith("pjsip")]
    if not cells or any(cell.verdict.status.value != "pass" for cell in cells):
        raise SystemExit(f"PJSIP with itself did not pass beside {alices}")
    return sum(attempt.seconds for cell in cells for attempt in cell.attempts), whole


def main():
    """Print a row per flavour."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("flavours", nargs="*", default=WORST)
    print("| beside | own | whole, s |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for name in ("topologies", "scenarios"):
            shutil.copytree(ROOT / name, home / name, ignore=shutil.ignore_patterns("__pycache__"))
        (home / "images").symlink_to(ROOT / "images")
        for flavour in parser.parse_args().flavours:
            alone, _ = run(home, "pjsip")
            beside, whole = run(home, f"pjsip,hostile@{flavour}")
            print(f"| `{flavour}` | {beside / alone:.2f} | {whole:.0f} |", flush=True)


if __name__ == "__main__":
    main()
