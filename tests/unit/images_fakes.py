"""A machine and an image store that live in memory: what the tests of set-up talk to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lab.runtime.image_engine import BuildFailed, BuildRequest, ImageInfo, RegistryUnreachable
from lab.runtime.machine import Completed, Machine


class FakeMachine(Machine):
    """Answers commands from a table of prefixes and records them. Programs are present where `programs` says so."""

    def __init__(
        self, *, root: bool = True, release: Mapping[str, str] | None = None, programs: Sequence[str] = (), lists: bool = True
    ) -> None:
        self.root = root
        self.release = dict(
            release if release is not None else {"ID": "debian", "VERSION_CODENAME": "bookworm", "PRETTY_NAME": "Debian 12"}
        )
        self.programs = set(programs)
        self.lists = lists
        self.answers: list[tuple[tuple[str, ...], Callable[[Sequence[str]], Completed]]] = []
        self.ran: list[tuple[str, ...]] = []
        self.spawned: list[tuple[str, ...]] = []
        self.files: dict[str, str] = {}
        self.processes: dict[int, str] = {}
        self.systemd = False
        self.system = "linux"

    @property
    def is_root(self) -> bool:
        return self.root

    @property
    def platform(self) -> str:
        return self.system

    def os_release(self) -> dict[str, str]:
        return self.release

    def has_systemd(self) -> bool:
        return self.systemd

    def which(self, program: str) -> str | None:
        return f"/usr/bin/{program}" if program in self.programs else None

    def on(self, *prefix: str, do: Callable[[Sequence[str]], Completed] | Completed) -> None:
        self.answers.insert(0, (prefix, do if callable(do) else lambda argv: do))

    def run(self, argv: Sequence[str], *, timeout: float = 600, env: Mapping[str, str] | None = None) -> Completed:
        self.ran.append(tuple(argv))
        for prefix, answer in self.answers:
            if tuple(argv[: len(prefix)]) == prefix:
                return answer(argv)
        return Completed(0, "")

    def read(self, path: Path) -> str | None:
        return self.files.get(str(path))

    def remove(self, path: Path) -> None:
        self.files.pop(str(path), None)

    def program_of(self, pid: int) -> str:
        return self.processes.get(pid, "")

    def has_apt_lists(self) -> bool:
        return self.lists


class FakeImages:
    """An image store. `broken` names tags' prefixes whose build fails; `registry` what can be pulled (None: no registry answers)."""

    def __init__(self, tags: Sequence[str] = (), registry: Sequence[str] | None = None, broken: Sequence[str] = ()) -> None:
        self.store: dict[str, str] = {tag: f"sha256:{tag}" for tag in tags}
        self.registry = registry
        self.broken = tuple(broken)
        self.requests: list[BuildRequest] = []
        self.calls: list[str] = []
        self.lock = threading.Lock()
        self.lines: dict[str, list[str]] = {}

    def images(self) -> list[ImageInfo]:
        self.calls.append("images")
        return [ImageInfo(identity, (tag,), 1, 1) for tag, identity in self.store.items()]

    def pull(self, reference: str, deadline: float) -> None:
        self.calls.append(f"pull {reference}")
        if self.registry is None:
            raise RegistryUnreachable("no such host")
        if reference not in self.registry:
            raise RegistryUnreachable("not found")
        self.store[reference] = f"sha256:{reference}"

    def import_archive(self, archive: Path, reference: str, labels: Mapping[str, str]) -> None:
        self.calls.append(f"import {reference}")
        self.store[reference] = f"sha256:imported {reference}"

    def build(self, request: BuildRequest, on_line: Callable[[str], None]) -> None:
        with self.lock:
            self.requests.append(request)
            self.calls.append(f"build {request.tag}")
        on_line("Step 1/2 : FROM base")
        on_line("Step 2/2 : RUN make it")
        if request.tag.startswith(self.broken):
            on_line("make: *** No rule to make target 'it'")
            raise BuildFailed("The command '/bin/sh -c make it' returned a non-zero code: 2")
        with self.lock:
            self.store[request.tag] = f"sha256:{request.tag}"

    def tag(self, reference: str, new: str) -> None:
        with self.lock:
            self.calls.append(f"tag {new}")
            self.store[new] = self.store[reference]
