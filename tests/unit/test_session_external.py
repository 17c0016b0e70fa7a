"""Vendors from outside: names, manifests and what is said where there is none. No Docker."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import ImageError, SpecError
from lab.runtime.fake import FakeRuntime
from lab.runtime.image_engine import RegistryUnreachable
from lab.session import external
from lab.session.external import External, name_of, open_externals
from lab.session.selection import images_for, select
from lab.spec.catalog import vendors

ROOT = Path(__file__).resolve().parents[2]
HELLO = {"contract": 1, "vendor": "Acme", "version": "1.2 (beta)", "capabilities": ["udp", "invite"]}


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("registry.example:5000/team/acme-sip:1.2", "acme-sip"),
        ("acme@sha256:0123", "acme"),
        ("Acme_SIP:1", "acme-sip"),
        ("registry.example/:", "external"),
    ],
)
def test_an_image_has_a_name(reference: str, name: str) -> None:
    assert name_of(reference) == name


def test_hello_becomes_a_manifest() -> None:
    made = external._manifest("acme", HELLO, "acme-sip:1.2")
    assert (made.name, made.default, made.roles) == ("acme", "1.2-beta", ("user-agent",))
    assert made.capabilities_of(made.default) == {"udp", "invite"}
    assert made.ready.agent
    with pytest.raises(SpecError, match="teleport"):
        external._manifest("acme", {**HELLO, "capabilities": ["teleport"]}, "acme-sip:1.2")


@pytest.mark.parametrize(
    ("text", "what"),
    [("acme", "incomplete"), ("acme=", "incomplete"), ("Acme=x:1", "incomplete"), ("pjsip=x:1", "is taken"), ("helper=x:1", "is taken")],
)
def test_names_are_checked_before_anything_is_asked(text: str, what: str) -> None:
    with pytest.raises(SpecError, match=what):
        open_externals([text], ROOT, vendors(ROOT), FakeRuntime([]))


class Engine:
    """An image store with one image, and no registry."""

    def __init__(self, _address: object) -> None:
        pass

    def find(self, reference: str) -> str | None:
        return "sha256:feed" if reference == "acme-sip:1.2" else None

    def pull(self, reference: str, deadline: float) -> None:
        raise RegistryUnreachable("no route")


@pytest.fixture(autouse=True)
def _no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external, "require_engine", lambda: type("Found", (), {"address": ""}))


def test_a_missing_image_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external, "DockerImages", Engine)
    with pytest.raises(ImageError, match="no image gone:1 on the engine, and it cannot be pulled: no route"):
        open_externals(["acme=gone:1"], ROOT, {}, FakeRuntime([]))


def test_a_folder_without_a_dockerfile_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(external, "DockerImages", Engine)
    with pytest.raises(ImageError, match="no Dockerfile"):
        open_externals([f"acme={tmp_path}"], ROOT, {}, FakeRuntime([]))


def test_hello_is_asked_once_per_image(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str] = []
    monkeypatch.setattr(external, "DockerImages", Engine)
    monkeypatch.setattr(external, "_from_image", lambda *_: None)
    monkeypatch.setattr(external, "_hello", lambda runtime, name, digest: asked.append(digest) or HELLO)
    for _ in range(2):
        found = open_externals(["acme=acme-sip:1.2"], tmp_path, {}, FakeRuntime([]))["acme"]
    assert asked == ["sha256:feed"]
    assert (found.reference, found.digest) == ("acme-sip:1.2", "sha256:feed")


def test_what_runs_is_the_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    acme = External(external._manifest("acme", HELLO, "acme-sip:1.2"), "acme-sip:1.2", "sha256:feed")
    monkeypatch.setattr("lab.session.selection.open_runtime", lambda: FakeRuntime([]))
    monkeypatch.setattr("lab.session.selection.open_externals", lambda *_: {"acme": acme})
    selected = select("trapezoid", ["alice=acme", "bob=linphone"], ROOT, external=["acme=acme-sip:1.2"])
    asked: list[object] = []
    monkeypatch.setattr("lab.session.selection.ensure_images", lambda sources, only, **_: asked.extend(only) or {})
    assert images_for(selected) == {("acme", "1.2-beta"): "sha256:feed"}
    assert ("linphone", "5.3") in asked
    assert all(key[0] != "acme" for key in asked)
