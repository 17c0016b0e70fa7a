"""The project under another roof, so that the results of tests are nobody's `latest`, and the command line at home there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
SIPLAB = (sys.executable, "-m", "lab")


def make_home(folder: Path) -> Path:
    """Topologies and scenarios copied, images and what they are made of linked."""
    for name in ("topologies", "scenarios"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("images", "lab"):
        (folder / name).symlink_to(REPOSITORY / name)
    return folder


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "SIPLAB_HOME": str(home), "NO_COLOR": "1"}


def siplab(home: Path, *arguments: str, within: float = 120.0) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*SIPLAB, *arguments], env=environment(home), capture_output=True, text=True, timeout=within, check=False)
