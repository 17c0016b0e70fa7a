"""Base images: reuse, pull, bootstrap, in this order, and never silently."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from images_fakes import FakeImages, FakeMachine

from lab.errors import ImageError
from lab.runtime.apt import HostApt, Origin, archive_origins, host_apt, inherited_options
from lab.runtime.bases import completion_context, ensure_bases, mmdebstrap_argv
from lab.runtime.image_engine import Event
from lab.runtime.machine import Completed

DUMP = """APT::Architecture "amd64";
Acquire::Check-Valid-Until "false";
Acquire::http::Proxy "http://proxy.example:3128";
Acquire::http::Proxy::mirror.example "DIRECT";
Acquire::http::Proxy-Auto-Detect "/usr/local/bin/detect";
Acquire::Languages:: "none";
Acquire::Changelogs "";
"""
TARGETS = """https://packages.vendor.example/debian/|bookworm|main|Vendor|/usr/share/keyrings/vendor.gpg
http://mirror.example/debian/|bookworm|main|Debian|$(SIGNED_BY)
http://mirror.example/debian/|bookworm|contrib|Debian|$(SIGNED_BY)
http://mirror.example/debian/|bookworm-updates|main|Debian|$(SIGNED_BY)
http://mirror.example/debian-security/|bookworm-security|main|Debian|$(SIGNED_BY)
"""


def test_only_settings_that_reach_the_archive_are_inherited() -> None:
    assert inherited_options(DUMP) == (
        ("Acquire::Check-Valid-Until", "false"),
        ("Acquire::http::Proxy", "http://proxy.example:3128"),
        ("Acquire::http::Proxy::mirror.example", "DIRECT"),
    )


def test_the_hosts_mirror_serves_other_suites() -> None:
    settings = HostApt(origins=archive_origins(TARGETS, "bookworm"))
    assert settings.sources("trixie").splitlines() == [
        "deb http://mirror.example/debian/ trixie main contrib",
        "deb http://mirror.example/debian/ trixie-updates main",
        "deb http://mirror.example/debian-security/ trixie-security main",
    ]
    assert settings.sources("sid") == "deb http://mirror.example/debian/ sid main contrib\n"


def test_without_lists_the_keyring_or_the_path_tells_debian_from_others() -> None:
    rows = "https://other.example/apt|bookworm|main|$(ORIGIN)|/k/other.gpg\nhttp://m.example/debian|bookworm|main|$(ORIGIN)|$(SIGNED_BY)\n"
    assert archive_origins(rows, "bookworm") == (Origin("http://m.example/debian", "", ("main",)),)
    signed = "http://m.example/d|bookworm|main|$(ORIGIN)|/usr/share/keyrings/debian-archive-keyring.gpg\n"
    assert archive_origins(signed, "bookworm")[0].uri == "http://m.example/d"
    assert archive_origins("http://m.example/debian|bookworm-updates|main|Debian|x\n", "bookworm") == ()


def test_a_host_that_is_no_debian_lends_settings_but_no_mirror() -> None:
    machine = FakeMachine(release={"ID": "ubuntu", "ID_LIKE": "debian", "VERSION_CODENAME": "noble"}, programs=["apt-config"])
    machine.on("apt-config", do=Completed(0, DUMP))
    assert host_apt(machine).origins == ()
    assert host_apt(machine).options
    assert host_apt(FakeMachine(release={"ID": "fedora"})) == HostApt()


def test_a_proxy_on_the_loopback_is_noticed() -> None:
    assert HostApt((("Acquire::http::Proxy", "http://127.0.0.1:3142"),)).proxy_is_local
    assert not HostApt((("Acquire::http::Proxy", "http://10.0.0.1:3142"),)).proxy_is_local


def test_a_base_that_exists_is_reused(tmp_path: Path) -> None:
    engine = FakeImages(["siplab/base:trixie"], registry=["debian:trixie-slim"])
    assert ensure_bases(["trixie"], engine, tmp_path, FakeMachine()) == {"trixie": "sha256:siplab/base:trixie"}
    assert engine.calls == ["images"]


def test_a_registry_that_answers_is_pulled_from(tmp_path: Path) -> None:
    engine = FakeImages(registry=["debian:trixie-slim"])
    ensure_bases(["trixie"], engine, tmp_path, FakeMachine())
    assert engine.calls == ["images", "pull debian:trixie-slim", "build siplab/base:trixie", "images"]


def test_a_local_official_image_needs_no_registry(tmp_path: Path) -> None:
    engine = FakeImages(["debian:trixie-slim"])
    ensure_bases(["trixie"], engine, tmp_path, FakeMachine())
    assert engine.calls == ["images", "build siplab/base:trixie", "images"]


def test_offline_says_so_and_bootstraps(tmp_path: Path) -> None:
    events: list[Event] = []
    engine = FakeImages()
    machine = FakeMachine(programs=["mmdebstrap", "apt-config"])
    machine.on("apt-config", do=Completed(0, DUMP))
    ensure_bases(["trixie", "bookworm"], engine, tmp_path, machine, events.append)
    bootstraps = [argv for argv in machine.ran if argv[0] == "mmdebstrap"]
    assert sorted(argv[-2] for argv in bootstraps) == ["bookworm", "trixie"]
    assert all('--aptopt=Acquire::Check-Valid-Until "false"' in argv for argv in bootstraps)
    assert any("no such host" in event.text for event in events)
    assert {"import siplab/base:trixie", "import siplab/base:bookworm"} <= set(engine.calls)


def test_mmdebstrap_is_installed_by_root_only(tmp_path: Path) -> None:
    machine = FakeMachine()
    ensure_bases(["trixie"], FakeImages(), tmp_path, machine)
    install = next(argv for argv in machine.ran if argv[:2] == ("apt-get", "install"))
    assert "mmdebstrap" in install
    with pytest.raises(ImageError, match="mmdebstrap can be installed by root on Debian or Ubuntu only"):
        ensure_bases(["trixie"], FakeImages(), tmp_path, FakeMachine(root=False))


def test_failing_bootstrap_quotes_the_last_line_and_the_log(tmp_path: Path) -> None:
    machine = FakeMachine(programs=["mmdebstrap"])
    machine.on("mmdebstrap", do=Completed(25, "I: start\nE: setup failed\n"))
    with pytest.raises(ImageError, match=r"mmdebstrap trixie: E: setup failed; read .*base-trixie\.log"):
        ensure_bases(["trixie"], FakeImages(), tmp_path, machine)


def test_completion_carries_settings_and_mirror() -> None:
    settings = HostApt((("Acquire::Check-Date", "false"),), (Origin("http://mirror.example/debian", "", ("main",)),))
    with tarfile.open(fileobj=io.BytesIO(completion_context("debian:trixie-slim", "trixie", settings))) as tar:
        content = {name: tar.extractfile(name).read().decode() for name in tar.getnames()}  # type: ignore[union-attr]
    assert content["apt.conf"] == 'Acquire::Check-Date "false";\n'
    assert content["sources.list"] == "deb http://mirror.example/debian trixie main\n"
    assert content["Dockerfile"].startswith("FROM debian:trixie-slim\nCOPY apt.conf")


def test_without_a_mirror_the_default_archive_is_used(tmp_path: Path) -> None:
    argv = mmdebstrap_argv("trixie", tmp_path / "root.tar", HostApt())
    assert argv[-2:] == ["trixie", str(tmp_path / "root.tar")]
