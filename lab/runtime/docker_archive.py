"""Tar archives of the Engine API: files into a container and out of it."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Iterable, Mapping

from lab.runtime.base import FileContent


def pack(files: Mapping[str, FileContent]) -> bytes:
    """A tar of `files` (absolute paths) to be unpacked at `/`. Parents are made by the engine, existing ones left as they are."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for path, content in sorted(files.items()):
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode, entry.mtime = len(content.data), content.mode, int(time.time())
            archive.addfile(entry, io.BytesIO(content.data))
    return out.getvalue()


def unpack(chunks: Iterable[bytes]) -> dict[str, bytes]:
    """Regular files of a tar as the engine sends it: for one file its name, for a folder names relative to it."""
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        members = archive.getmembers()
        single = len(members) == 1 and members[0].isfile()
        found = {}
        for member in members:
            data = archive.extractfile(member) if member.isfile() else None
            if data is not None:
                found[member.name if single else member.name.partition("/")[2]] = data.read()
    return found
