"""The wheelhouse: Python packages for images, downloaded on the host.

pip inside a build often cannot reach an index (the host's certificate authorities and pip settings are not there), so the host's own pip
fetches wheels for the *base's* Python and the build installs them with `pip install --no-index --find-links=wheels`.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lab.errors import ImageError
from lab.runtime.image_source import ContextFile
from lab.runtime.machine import Machine

PYTHON_OF_SUITE = {"bullseye": "3.9", "bookworm": "3.11", "trixie": "3.13", "sid": "3.13"}
"""The python3 of each Debian release that a base may be made of."""


def wheelhouse(cache: Path, suite: str, requirements: Sequence[str], sdists: Sequence[str], machine: Machine) -> Path:
    """The folder with all wheels for `requirements`, and `sdists` as source, downloaded once per list. ImageError with pip's last line."""
    python = PYTHON_OF_SUITE.get(suite)
    if python is None:
        known = ", ".join(PYTHON_OF_SUITE)
        raise ImageError(f"wheels for base {suite}: its Python version is not known", remedy=f"use one of {known}")
    digest = hashlib.sha256("\n".join([*sorted(requirements), *(f"sdist {name}" for name in sorted(sdists))]).encode()).hexdigest()[:12]
    folder = cache / f"{suite}-py{python}-{digest}"
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=cache))
    try:
        if requirements:
            _download(machine, requirements, partial, "--only-binary=:all:", "--python-version", python)
        if sdists:
            _download(machine, sdists, partial, "--no-binary=:all:", "--no-deps")
        if not folder.is_dir():
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _download(machine: Machine, requirements: Sequence[str], target: Path, *options: str) -> None:
    argv = [sys.executable, "-P", "-m", "pip", "download", "--quiet", "--disable-pip-version-check", *options]
    done = machine.run([*argv, "--dest", str(target), *requirements], timeout=900)
    if done.code:
        what = " ".join((*options, *requirements))
        raise ImageError(f"pip download {what}: {done.last_line()}", remedy="make pip reach an index")


def wheel_files(folder: Path) -> list[ContextFile]:
    """The wheelhouse as files of a build context."""
    return [ContextFile(f"wheels/{path.name}", path.read_bytes()) for path in sorted(folder.iterdir())]
