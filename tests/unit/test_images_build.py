"""Building in the order of needs, once, with errors that lead to the log."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from images_fakes import FakeImages, FakeMachine

from lab.errors import ImageError
from lab.runtime.image_engine import Event
from lab.runtime.image_source import ImageSource, Key
from lab.runtime.images import ensure_images, list_images
from lab.runtime.machine import Completed

BASES = ("siplab/base:trixie", "siplab/base:bookworm")


def make(root: Path, name: str, **more: object) -> ImageSource:
    folder = root / "images" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Dockerfile").write_text(f"ARG BASE\nFROM ${{BASE}}\nRUN echo {name}\n")
    return replace(ImageSource(name, "1", folder, "trixie"), **more)  # type: ignore[arg-type]


@pytest.fixture
def sources(tmp_path: Path) -> list[ImageSource]:
    return [make(tmp_path, "proxy", needs=("shim",)), make(tmp_path, "shim"), make(tmp_path, "phone", args={"VERSION": "3"})]


def ensure(
    sources: list[ImageSource], engine: FakeImages, tmp_path: Path, only: list[Key] | None = None
) -> tuple[dict[Key, str], list[Event]]:
    events: list[Event] = []
    tags = ensure_images(sources, only=only, state=tmp_path / "state", progress=events.append, engine=engine, machine=FakeMachine())
    return tags, events


def test_builds_needs_first_and_passes_their_tags(sources: list[ImageSource], tmp_path: Path) -> None:
    engine = FakeImages(BASES)
    tags, events = ensure(sources, engine, tmp_path)
    order = [request.tag for request in engine.requests]
    assert order.index(tags["shim", "1"]) < order.index(tags["proxy", "1"])
    by_tag = {request.tag: request for request in engine.requests}
    assert by_tag[tags["proxy", "1"]].args == {"BASE": "siplab/base:trixie", "SHIM": tags["shim", "1"]}
    assert by_tag[tags["phone", "1"]].args == {"BASE": "siplab/base:trixie", "VERSION": "3"}
    assert engine.store["siplab/phone:1"] == engine.store[tags["phone", "1"]]
    assert [event.state for event in events if event.image == "proxy:1"] == ["queued", "started", "step", "step", "done"]


def test_a_second_time_costs_one_call(sources: list[ImageSource], tmp_path: Path) -> None:
    engine = FakeImages(BASES)
    tags, _ = ensure(sources, engine, tmp_path)
    engine.calls.clear()
    again, events = ensure(sources, engine, tmp_path)
    assert again == tags
    assert engine.calls == ["images"]
    assert {event.state for event in events} == {"present"}


def test_a_changed_need_rebuilds_what_needs_it_and_nothing_else(sources: list[ImageSource], tmp_path: Path) -> None:
    engine = FakeImages(BASES)
    before, _ = ensure(sources, engine, tmp_path)
    (tmp_path / "images" / "shim" / "Dockerfile").write_text("FROM scratch\n")
    after, _ = ensure(sources, engine, tmp_path)
    assert before["phone", "1"] == after["phone", "1"]
    assert before["shim", "1"] != after["shim", "1"]
    assert before["proxy", "1"] != after["proxy", "1"]


def test_going_back_moves_the_moving_tag_back_without_a_build(sources: list[ImageSource], tmp_path: Path) -> None:
    engine = FakeImages(BASES)
    first, _ = ensure(sources, engine, tmp_path)
    dockerfile = tmp_path / "images" / "phone" / "Dockerfile"
    old = dockerfile.read_text()
    dockerfile.write_text("FROM other\n")
    ensure(sources, engine, tmp_path)
    dockerfile.write_text(old)
    engine.requests.clear()
    ensure(sources, engine, tmp_path)
    assert engine.requests == []
    assert engine.store["siplab/phone:1"] == engine.store[first["phone", "1"]]


def test_only_takes_needs_along(sources: list[ImageSource], tmp_path: Path) -> None:
    tags, _ = ensure(sources, FakeImages(BASES), tmp_path, only=[("proxy", "1")])
    assert set(tags) == {("proxy", "1"), ("shim", "1")}


def test_unknown_image_names_the_known(sources: list[ImageSource], tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"no image fax:1; known: phone:1, proxy:1, shim:1"):
        ensure(sources, FakeImages(BASES), tmp_path, only=[("fax", "1")])


def test_circle_is_an_error(tmp_path: Path) -> None:
    circle = [make(tmp_path, "a", needs=("b",)), make(tmp_path, "b", needs=("a",))]
    with pytest.raises(ImageError, match="circle: a → b → a"):
        ensure(circle, FakeImages(BASES), tmp_path)


def test_failing_build_names_step_and_log_and_stops_only_what_needs_it(sources: list[ImageSource], tmp_path: Path) -> None:
    engine = FakeImages(BASES, broken=["siplab/shim"])
    with pytest.raises(ImageError) as caught:
        ensure(sources, engine, tmp_path)
    log = tmp_path / "state" / "logs" / "build-shim-1.log"
    assert "image shim:1: Step 2/2 : RUN make it" in str(caught.value)
    assert "No rule to make target 'it' (exit code 2)" in str(caught.value)
    assert str(log) in str(caught.value)
    assert "No rule to make target" in log.read_text()
    assert "siplab/phone:1" in engine.store
    assert not any(tag.startswith("siplab/proxy") for tag in engine.store)


def test_interrupt_calls_the_builds_off(sources: list[ImageSource], tmp_path: Path) -> None:
    engine = FakeImages(BASES)

    def interrupted(event: Event) -> None:
        if event.state == "step":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure_images(sources, state=tmp_path, progress=interrupted, engine=engine, machine=FakeMachine(), workers=1)
    assert not any(tag.startswith("siplab/proxy") for tag in engine.store)


def test_wheels_are_downloaded_once_for_the_bases_python(tmp_path: Path) -> None:
    source = make(tmp_path, "phone", base="bookworm", wheels=("softphone==2.15",))
    machine = FakeMachine()

    def download(argv: object) -> Completed:
        words = list(argv)  # type: ignore[call-overload]
        (Path(words[words.index("--dest") + 1]) / "softphone-2.15-py3-none-any.whl").write_bytes(b"wheel")
        return Completed(0, "")

    machine.on(do=download)
    engine = FakeImages(BASES)
    for _ in range(2):
        ensure_images([source], state=tmp_path / "state", engine=engine, machine=machine)
        (source.folder / "Dockerfile").write_text("FROM changed\n")
    pip = [argv for argv in machine.ran if "pip" in argv]
    assert len(pip) == 1
    assert pip[0][pip[0].index("--python-version") + 1] == "3.11"
    assert "--only-binary=:all:" in pip[0]
    with tarfile.open(fileobj=io.BytesIO(engine.requests[0].context)) as tar:
        assert "wheels/softphone-2.15-py3-none-any.whl" in tar.getnames()


def test_what_has_no_wheel_comes_as_source_and_alone(tmp_path: Path) -> None:
    source = make(tmp_path, "proxy", wheels=("needed==1",), sdists=("stack==2.5",))
    machine = FakeMachine()

    def download(argv: object) -> Completed:
        words = list(argv)  # type: ignore[call-overload]
        name = "stack-2.5.tar.gz" if "--no-binary=:all:" in words else "needed-1-py3-none-any.whl"
        (Path(words[words.index("--dest") + 1]) / name).write_bytes(b"")
        return Completed(0, "")

    machine.on(do=download)
    engine = FakeImages(BASES)
    ensure_images([source], state=tmp_path / "state", engine=engine, machine=machine)
    pip = [argv for argv in machine.ran if "pip" in argv]
    assert ["--no-deps" in argv for argv in pip] == [False, True]
    with tarfile.open(fileobj=io.BytesIO(engine.requests[0].context)) as tar:
        assert {"wheels/needed-1-py3-none-any.whl", "wheels/stack-2.5.tar.gz"} <= set(tar.getnames())


def test_failing_download_leaves_no_half_wheelhouse(tmp_path: Path) -> None:
    source = make(tmp_path, "phone", wheels=("softphone==9",))
    machine = FakeMachine()
    machine.on(do=Completed(1, "Looking\nERROR: No matching distribution found for softphone==9\n"))
    with pytest.raises(ImageError, match="No matching distribution found"):
        ensure_images([source], state=tmp_path / "state", engine=FakeImages(BASES), machine=machine)
    assert list((tmp_path / "state" / "wheels").iterdir()) == []


def test_list_says_what_is_there_and_builds_nothing(sources: list[ImageSource], tmp_path: Path) -> None:
    engine = FakeImages(BASES)
    ensure(sources, engine, tmp_path, only=[("phone", "1")])
    engine.calls.clear()
    statuses = {status.source.name: status for status in list_images(sources, engine=engine)}
    assert engine.calls == ["images"]
    assert statuses["phone"].is_present
    assert not statuses["proxy"].is_present
    assert statuses["proxy"].tag.startswith("siplab/proxy:1-")


def test_list_without_a_base_has_no_tag_to_tell(sources: list[ImageSource]) -> None:
    assert {status.tag for status in list_images(sources, engine=FakeImages())} == {""}
