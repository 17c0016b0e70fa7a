"""What an image is made of: the folder, what it shares, and the hash that decides whether it has to be built again.

The hash covers everything that reaches the build: Dockerfile and context files with their execute bits, shared folders, wheels, build
arguments, the identity of the base and the hashes of the images it needs. A tag with that hash is therefore never stale, and a
set-up without changes builds nothing. Files that only the host reads (the manifest, templates, documentation) are left out of the
build, so that changing them does not rebuild.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab.errors import ImageError

REPOSITORY = "siplab"
HASH_LENGTH = 12

_HOST_ONLY_SUFFIXES = {".j2", ".md", ".pyc"}
_HOST_ONLY_NAMES = {"vendor.yaml", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"}

Key = tuple[str, str]
"""(name, flavour) of an image."""


@dataclass(frozen=True)
class ImageSource:
    """One flavour of one image folder, as the manifest tells it.

    `base` is a Debian suite, `shared` names folders below `shared_root`, `sources` folders of the project as context path -> folder,
    `needs` other images by name (each becomes the build argument of its upper-case name), `wheels` requirements for the base's Python,
    `sdists` requirements that come as source.
    `default` marks the flavour that is meant where none is named.
    """

    name: str
    flavour: str
    folder: Path
    base: str
    args: Mapping[str, str] = field(default_factory=dict)
    shared: tuple[str, ...] = ()
    shared_root: Path | None = None
    sources: Mapping[str, Path] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    wheels: tuple[str, ...] = ()
    sdists: tuple[str, ...] = ()
    default: bool = True

    @property
    def key(self) -> Key:
        """How the image is found among others."""
        return (self.name, self.flavour)

    @property
    def label(self) -> str:
        """How the image is called towards people: `phone:1.0`."""
        return f"{self.name}:{self.flavour}"

    @property
    def moving_tag(self) -> str:
        """The tag that follows the newest build."""
        return f"{REPOSITORY}/{self.name}:{self.flavour}"


@dataclass(frozen=True)
class ContextFile:
    """A file of a build context; `path` is relative to its root, with forward slashes."""

    path: str
    data: bytes
    executable: bool = False


def need_argument(name: str) -> str:
    """The build argument that carries the tag of a needed image (`tls-keylog` → `TLS_KEYLOG`)."""
    return name.upper().replace("-", "_")


def pick_need(name: str, base: str, sources: Iterable[ImageSource], *, asked_by: str) -> ImageSource:
    """The flavour of a needed image: built on the same base (what is compiled there runs here), else the default one."""
    flavours = [source for source in sources if source.name == name]
    if not flavours:
        raise ImageError(f"image {asked_by} needs {name}, which is no known image", remedy=f"add images/{name} or correct `needs`")
    return min(flavours, key=lambda source: (source.base != base, not source.default))


def context_files(source: ImageSource) -> list[ContextFile]:
    """The build context's files without wheels, sorted by path. ImageError names a folder that is missing."""
    files = list(_files_below(source.folder, "", source.label))
    for name in source.shared:
        root = (source.shared_root or source.folder.parent / "shared") / name
        files.extend(_files_below(root, f"shared/{name}/", source.label))
    for name, root in source.sources.items():
        files.extend(_files_below(root, f"sources/{name}/", source.label))
    if not any(file.path == "Dockerfile" for file in files):
        raise ImageError(f"image {source.label}: {source.folder} holds no Dockerfile", remedy="write one (ARG BASE, FROM ${BASE}, …)")
    return sorted(files, key=lambda file: file.path)


def _files_below(root: Path, prefix: str, label: str) -> Iterator[ContextFile]:
    if not root.is_dir():
        raise ImageError(f"image {label}: no folder {root}", remedy="correct `shared` or `sources` in its vendor.yaml")
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        if not path.is_file() or _is_host_only(relative):
            continue
        yield ContextFile(prefix + relative.as_posix(), path.read_bytes(), bool(path.stat().st_mode & 0o100))


def _is_host_only(relative: Path) -> bool:
    hidden = any(part in _HOST_ONLY_NAMES or part.startswith(".") for part in relative.parts)
    return hidden or relative.suffix in _HOST_ONLY_SUFFIXES or relative.name.endswith("~")


def content_hash(source: ImageSource, files: Iterable[ContextFile], base_id: str, needs: Mapping[str, str]) -> str:
    """Twelve hex digits over everything that reaches the build. `needs` maps a needed image's name to its hashed tag."""
    digest = hashlib.sha256()
    facts = {
        "base": base_id,
        "args": dict(source.args),
        "wheels": sorted(source.wheels),
        "needs": dict(needs),
    }
    if source.sdists:
        facts["sdists"] = sorted(source.sdists)
    digest.update(json.dumps(facts, sort_keys=True).encode())
    for file in files:
        digest.update(f"\0{file.path}\0{'x' if file.executable else '-'}\0{len(file.data)}\0".encode())
        digest.update(file.data)
    return digest.hexdigest()[:HASH_LENGTH]


def archive(files: Iterable[ContextFile]) -> bytes:
    """A tar archive that depends on the files' names, contents and execute bits alone: no owner, no time, no umask."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for file in files:
            member = tarfile.TarInfo(file.path)
            member.size = len(file.data)
            member.mode = 0o755 if file.executable else 0o644
            tar.addfile(member, io.BytesIO(file.data))
    return buffer.getvalue()
