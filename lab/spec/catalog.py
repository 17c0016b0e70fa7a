"""Where topologies and vendors are: folders below a project's root, loaded and checked."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from pydantic_core import PydanticCustomError

import lab
from lab.errors import SpecError, Where
from lab.spec.loader import KeyPath, display, read_document
from lab.spec.names import nearest
from lab.spec.references import problems
from lab.spec.template import expanded, place
from lab.spec.topology import Topology
from lab.spec.validation import Problem, reject, spec_error, validated
from lab.spec.vendor import Running, Vendor

_SUFFIX = ".yaml"


def project_root() -> Path:
    """The folder that holds `topologies/` and `images/`.

    `SIPLAB_HOME` where set; else the nearest such folder from the working directory upwards; else the checkout this package runs from.
    """
    home = os.environ.get("SIPLAB_HOME")
    if home:
        if not _is_root(Path(home)):
            raise SpecError(f"SIPLAB_HOME={home} has no topologies/ and images/", remedy="set it to a siplab checkout or unset it")
        return Path(home).resolve()
    here = Path.cwd()
    for candidate in (here, *here.parents, Path(lab.__file__).resolve().parent.parent):
        if _is_root(candidate):
            return candidate
    raise SpecError(f"no topologies/ and images/ in {here} or above", remedy="change to a siplab checkout or set SIPLAB_HOME")


def topologies(root: Path) -> tuple[str, ...]:
    """The names of all topologies, sorted."""
    return tuple(sorted(path.stem for path in (root / "topologies").glob(f"*{_SUFFIX}")))


def load_topology(name_or_path: str | Path, root: Path) -> Topology:
    """A topology by its name, or any file by its path (with a `/` or ending in `.yaml`), checked against the vendors of `root`."""
    path = _topology_path(name_or_path, root)
    document = read_document(path)
    topology = validated(document, Topology)
    if topology.name != path.stem:
        what = f'name: "{topology.name}" differs from the file\'s name'
        reject(document, [Problem(("name",), what, f"write {path.stem} or rename the file to {topology.name}{_SUFFIX}")])
    try:
        whole, origins = expanded(topology)
    except PydanticCustomError as error:
        found = error.context or {}
        raise spec_error(document, [Problem(tuple(found["at"]), found["what"], found["remedy"], key=True)]) from None
    found_problems = problems(whole, vendors(root))
    reject(document, dict.fromkeys(replace(each, path=place(each.path, origins)) for each in found_problems))
    return whole.located({name: document.where(("elements", origin, "needs"), key=True) for name, origin in origins.items()})


def vendors(root: Path) -> dict[str, Vendor]:
    """All vendors by name, sorted: each folder of `images/` that has a vendor.yaml."""
    manifests = sorted((root / "images").glob("*/vendor.yaml"))
    return {path.parent.name: load_vendor(path.parent) for path in manifests}


def load_vendor(folder: Path) -> Vendor:
    """The manifest in a vendor's folder, checked: the folder has its name and the files that it lists."""
    document = read_document(folder / "vendor.yaml")
    vendor = validated(document, Vendor)
    name = folder.resolve().name
    if vendor.name != name:
        what = f'name: "{vendor.name}" differs from the folder\'s name'
        reject(document, [Problem(("name",), what, f"write {name} or rename the folder to {vendor.name}")])
    there = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
    parts: dict[KeyPath, Running] = {(): vendor, **{("in_role", role): part for role, part in vendor.in_role.items()}}
    absent = [(*path, "files", file) for path, part in parts.items() for file in part.files if file not in there]
    reject(
        document,
        [Problem(path, f'files: no file "{path[-1]}" in {display(folder)}', nearest(str(path[-1]), there), key=True) for path in absent],
    )
    return vendor


def _is_root(path: Path) -> bool:
    return (path / "topologies").is_dir() and (path / "images").is_dir()


def topology_reference(name_or_path: str) -> str:
    """What names a topology to a process that runs in another folder: its name, or the whole path of its file."""
    return str(Path(name_or_path).resolve()) if _is_path(name_or_path) else name_or_path


def topology_name(name_or_path: str) -> str:
    """The name that scenarios know a topology by: that of its file."""
    return Path(name_or_path).stem if _is_path(name_or_path) else name_or_path


def _is_path(text: str) -> bool:
    return "/" in text or text.endswith((_SUFFIX, ".yml"))


def _topology_path(name_or_path: str | Path, root: Path) -> Path:
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or _is_path(text):
        return Path(text)
    known = topologies(root)
    if text not in known:
        raise SpecError(f'unknown topology "{text}"', where=Where(display(root / "topologies")), remedy=nearest(text, known))
    return root / "topologies" / f"{text}{_SUFFIX}"
