"""A new vendor's folder is valid as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.conformance.new import STARTED, write_vendor
from lab.errors import SpecError
from lab.session.vendors import image_sources
from lab.spec.catalog import load_vendor, vendors

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("role", STARTED)
def test_it_is_a_vendor(tmp_path: Path, role: str) -> None:
    (tmp_path / "images").mkdir()
    written = write_vendor(tmp_path, "acme", role)
    made = load_vendor(tmp_path / "images/acme")
    assert made.roles == (role,)
    assert image_sources(tmp_path, {"acme": made})
    assert set(made.needs) <= set(vendors(ROOT)), "an image that nobody builds"
    assert not [path for path in written if "@NAME@" in path.read_text() + path.name or path.suffix == ".in"]
    for path in written:
        if path.suffix == ".py":
            compile(path.read_text(), str(path), "exec")


@pytest.mark.parametrize("name", ["Acme", "", "../acme", "a_b", "9a"])
def test_names_are_checked(tmp_path: Path, name: str) -> None:
    with pytest.raises(SpecError, match="is not a name"):
        write_vendor(tmp_path, name, "proxy")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "images/acme").mkdir(parents=True)
    with pytest.raises(SpecError, match="already"):
        write_vendor(tmp_path, "acme", "proxy")


@pytest.mark.parametrize(
    ("role", "what"),
    [
        ("gateway", r"there is no folder to start a gateway from \(.*\); roles that can be started: user-agent, proxy"),
        ("prox", "did you mean proxy"),
    ],
)
def test_a_role_that_nothing_judges_is_one_line(tmp_path: Path, role: str, what: str) -> None:
    with pytest.raises(SpecError, match=what):
        write_vendor(tmp_path, "acme", role)
    assert not (tmp_path / "images").exists()
