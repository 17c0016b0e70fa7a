"""A new vendor: a folder that builds, and fails its check with a list of what there is to do."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from lab.errors import SpecError
from lab.spec.names import nearest
from lab.spec.role import ROLES

STARTED = ("user-agent", "proxy")
"""Roles that there is a folder to start from for."""
_SUFFIX = ".in"
_NAME = "@NAME@"


def write_vendor(root: Path, name: str, role: str) -> list[Path]:
    """Write images/NAME; the files that were written. SpecError where the name or the role is none, or the folder is there already."""
    if role not in ROLES:
        raise SpecError(f'unknown role "{role}"', remedy=nearest(role, STARTED))
    if role not in STARTED:
        raise SpecError(
            f"there is no folder to start a {role} from ({ROLES[role]})", remedy=f"roles that can be started: {', '.join(STARTED)}"
        )
    if not re.fullmatch(r"[a-z](?:[a-z0-9-]{0,29}[a-z0-9])?", name):
        raise SpecError(f'"{name}" is not a name', remedy="write lower-case letters, digits and -, starting with a letter, at most 31")
    folder = root / "images" / name
    if folder.exists():
        raise SpecError(f"{folder} is there already", remedy="choose another name, or go on with what is there")
    folder.mkdir()
    written = []
    for source in sorted(files("lab.conformance.skeleton").joinpath(role).iterdir(), key=lambda entry: entry.name):
        target = folder / source.name.removesuffix(_SUFFIX).replace(_NAME, name)
        target.write_text(source.read_text("utf-8").replace(_NAME, name), "utf-8")
        written.append(target)
    return written
