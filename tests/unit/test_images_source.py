"""What goes into an image's hash and build context."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from lab.errors import ImageError
from lab.runtime.image_source import ImageSource, archive, content_hash, context_files, need_argument, pick_need


@pytest.fixture
def source(tmp_path: Path) -> ImageSource:
    folder = tmp_path / "images" / "phone"
    (folder / "agent").mkdir(parents=True)
    (folder / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\n")
    (folder / "agent" / "agent.py").write_text("print()\n")
    (folder / "vendor.yaml").write_text("name: phone\n")
    (folder / "phone.cfg.j2").write_text("{{ x }}\n")
    shared = tmp_path / "images" / "shared" / "entry"
    shared.mkdir(parents=True)
    (shared / "entry").write_text("#!/bin/sh\n")
    (shared / "entry").chmod(0o755)
    return ImageSource("phone", "1.0", folder, "trixie", shared=("entry",))


def digest(source: ImageSource, base: str = "sha256:b", **needs: str) -> str:
    return content_hash(source, context_files(source), base, needs)


def test_context_holds_the_folder_and_what_it_shares(source: ImageSource) -> None:
    files = context_files(source)
    assert [(file.path, file.executable) for file in files] == [
        ("Dockerfile", False),
        ("agent/agent.py", False),
        ("shared/entry/entry", True),
    ]


def test_files_only_the_host_reads_do_not_change_the_hash(source: ImageSource) -> None:
    before = digest(source)
    (source.folder / "vendor.yaml").write_text("name: phone\ntitle: x\n")
    (source.folder / "phone.cfg.j2").write_text("{{ y }}\n")
    (source.folder / "agent" / "__pycache__").mkdir()
    (source.folder / "agent" / "__pycache__" / "agent.cpython-311.pyc").write_bytes(b"x")
    (source.folder / ".agent.py.swp").write_bytes(b"x")
    assert digest(source) == before


def test_hash_is_stable_and_short(source: ImageSource) -> None:
    assert digest(source) == digest(source)
    assert len(digest(source)) == 12


def test_everything_that_reaches_the_build_changes_the_hash(source: ImageSource) -> None:
    seen = {digest(source), digest(source, base="sha256:other"), digest(source, keylog="siplab/keylog:1-abc")}
    seen.add(digest(replace(source, args={"VERSION": "2"})))
    seen.add(digest(replace(source, wheels=("a==1",))))
    seen.add(digest(replace(source, sdists=("a==1",))))
    (source.folder / "agent" / "agent.py").write_text("print(1)\n")
    seen.add(digest(source))
    (source.folder / "agent" / "agent.py").chmod(0o755)
    seen.add(digest(source))
    (source.folder / "agent" / "agent.py").rename(source.folder / "agent" / "other.py")
    seen.add(digest(source))
    ((source.folder.parent / "shared") / "entry" / "entry").write_text("#!/bin/sh\nexec\n")
    seen.add(digest(source))
    assert len(seen) == 10


def test_archive_is_deterministic(source: ImageSource) -> None:
    data = archive(context_files(source))
    (source.folder / "Dockerfile").touch()
    assert archive(context_files(source)) == data
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members = {member.name: member for member in tar}
    assert members["shared/entry/entry"].mode == 0o755
    assert {(member.mtime, member.uid) for member in members.values()} == {(0, 0)}


def test_sources_of_the_project_come_under_their_own_path(source: ImageSource, tmp_path: Path) -> None:
    library = tmp_path / "lab" / "phone"
    library.mkdir(parents=True)
    (library / "call.py").write_text("")
    files = context_files(replace(source, sources={"lab/phone": library}))
    assert "sources/lab/phone/call.py" in [file.path for file in files]
    with pytest.raises(ImageError, match="no folder"):
        context_files(replace(source, sources={"lab/none": tmp_path / "none"}))


def test_missing_shared_folder_and_dockerfile_are_named(source: ImageSource) -> None:
    with pytest.raises(ImageError, match=r"phone:1\.0: no folder .*nonesuch"):
        context_files(replace(source, shared=("nonesuch",)))
    (source.folder / "Dockerfile").unlink()
    with pytest.raises(ImageError, match="holds no Dockerfile"):
        context_files(source)


def test_a_need_is_met_by_the_same_base_else_by_the_default(tmp_path: Path) -> None:
    shim = ImageSource("shim", "old", tmp_path, "bookworm", default=True)
    new = replace(shim, flavour="new", base="trixie", default=False)
    assert pick_need("shim", "trixie", [shim, new], asked_by="x:1").flavour == "new"
    assert pick_need("shim", "sid", [new, shim], asked_by="x:1").flavour == "old"
    with pytest.raises(ImageError, match="x:1 needs nothing"):
        pick_need("nothing", "sid", [shim], asked_by="x:1")


def test_need_argument() -> None:
    assert need_argument("tls-keylog") == "TLS_KEYLOG"
