"""Which images have to be built, and building them: in parallel, in the order of their needs, each with a full log."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from lab.errors import ImageError, LabError
from lab.runtime.bases import base_tag
from lab.runtime.image_engine import BuildFailed, BuildRequest, Event, ImageEngine, Progress
from lab.runtime.image_source import ContextFile, ImageSource, Key, archive, content_hash, context_files, need_argument, pick_need
from lab.runtime.image_wheels import wheel_files, wheelhouse
from lab.runtime.machine import Machine

_STEP = re.compile(r"^Step \d+/\d+ : .*")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_BUILDER_TALK = (" --->", "Removing intermediate container ")
_STEP_LENGTH = 100


@dataclass(frozen=True)
class Job:
    """An image as it has to be: `tag` holds the hash of everything that goes in. `needs` maps needed names to their keys."""

    source: ImageSource
    tag: str
    files: tuple[ContextFile, ...]
    needs: Mapping[str, Key] = field(default_factory=dict)
    need_tags: Mapping[str, str] = field(default_factory=dict)


def closure(sources: Sequence[ImageSource], only: Iterable[Key] | None) -> list[ImageSource]:
    """The asked-for images and all they need, needs first. ImageError on an unknown key or a circle."""
    by_key = {source.key: source for source in sources}
    order: dict[Key, ImageSource] = {}

    def visit(source: ImageSource, path: tuple[Key, ...]) -> None:
        if source.key in order:
            return
        if source.key in path:
            circle = " → ".join(name for name, _ in (*path, source.key))
            raise ImageError(f"images need each other in a circle: {circle}", remedy="break it in one `needs`")
        for name in source.needs:
            visit(pick_need(name, source.base, sources, asked_by=source.label), (*path, source.key))
        order[source.key] = source

    for key in by_key if only is None else only:
        if key not in by_key:
            raise ImageError(f"no image {key[0]}:{key[1]}", remedy=f"known: {', '.join(sorted(source.label for source in sources))}")
        visit(by_key[key], ())
    return list(order.values())


def plan_jobs(sources: Sequence[ImageSource], only: Iterable[Key] | None, base_ids: Mapping[str, str]) -> list[Job]:
    """A job per image, needs first. `base_ids` maps suites to image ids."""
    jobs: dict[Key, Job] = {}
    for source in closure(sources, only):
        needs = {name: pick_need(name, source.base, sources, asked_by=source.label).key for name in source.needs}
        need_tags = {name: jobs[key].tag for name, key in needs.items()}
        files = context_files(source)
        digest = content_hash(source, files, base_ids[source.base], need_tags)
        jobs[source.key] = Job(source, f"{source.moving_tag}-{digest}", tuple(files), needs, need_tags)
    return list(jobs.values())


class Cancelled(Exception):
    """The builds were called off (Ctrl-C): raised inside a build to make the engine drop it."""


@dataclass
class Builder:
    """Builds jobs. `state` is where logs and the wheel cache live; `host_network` lets builds reach a proxy on the host's loopback."""

    engine: ImageEngine
    state: Path
    machine: Machine
    progress: Progress
    host_network: bool = False
    _cancelled: threading.Event = field(default_factory=threading.Event)

    def build_all(self, jobs: Sequence[Job], workers: int | None = None) -> None:
        """Build all, as many at a time as there are cores. What does not depend on a failure is still built, then ImageError is raised."""
        for job in jobs:
            self.progress(Event(job.source.label, "queued"))
        failures: dict[Key, LabError] = {}
        with ThreadPoolExecutor(max_workers=workers or os.cpu_count() or 2, thread_name_prefix="image") as pool:
            try:
                self._schedule(pool, jobs, failures)
            except BaseException:
                self._cancelled.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        if failures:
            raise _summary(list(failures.values()))

    def _schedule(self, pool: ThreadPoolExecutor, jobs: Sequence[Job], failures: dict[Key, LabError]) -> None:
        waiting = {job.source.key: job for job in jobs}
        running: dict[Future[None], Key] = {}
        while waiting or running:
            open_keys = {*waiting, *running.values()}
            for key, job in list(waiting.items()):
                if any(need in failures for need in job.needs.values()):
                    failures[key] = self._blocked(waiting.pop(key))
                elif not open_keys.intersection(job.needs.values()):
                    running[pool.submit(self.build, waiting.pop(key))] = key
            if not running:
                continue
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                key = running.pop(future)
                try:
                    future.result()
                except LabError as error:
                    failures[key] = error

    def _blocked(self, job: Job) -> ImageError:
        error = ImageError(f"image {job.source.label}: not built, because an image it needs failed")
        self.progress(Event(job.source.label, "failed", str(error)))
        return error

    def build(self, job: Job) -> None:
        """Build one image and give it both tags. ImageError with the failing step and the log's path."""
        label = job.source.label
        self.progress(Event(label, "started"))
        try:
            request = self._request(job)
            log = self._log_path(job.source)
            with log.open("w") as output:
                watch = _Watch(label, output, self.progress, self._cancelled)
                try:
                    self.engine.build(request, watch.line)
                except BuildFailed as error:
                    raise ImageError(f"image {label}: {watch.failure(str(error))}", remedy=f"its full log is {log}") from error
            self.engine.tag(job.tag, job.source.moving_tag)
        except LabError as error:
            self.progress(Event(label, "failed", str(error)))
            raise
        self.progress(Event(label, "done", job.tag))

    def _request(self, job: Job) -> BuildRequest:
        source = job.source
        files = list(job.files)
        if source.wheels or source.sdists:
            self.progress(Event(source.label, "step", f"pip download {' '.join(source.wheels + source.sdists)}"))
            files += wheel_files(wheelhouse(self.state / "wheels", source.base, source.wheels, source.sdists, self.machine))
        needs = {need_argument(name): tag for name, tag in job.need_tags.items()}
        args = {"BASE": base_tag(source.base), **needs, **source.args}
        labels = {"siplab.image": source.name, "siplab.flavour": source.flavour, "siplab.suite": source.base}
        return BuildRequest(job.tag, archive(files), args, labels, self.host_network)

    def _log_path(self, source: ImageSource) -> Path:
        folder = self.state / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"build-{source.name}-{source.flavour}.log"


@dataclass
class _Watch:
    """Follows one build's output: keeps the step it is in, logs everything, ends it when the builds are called off."""

    label: str
    log: TextIO
    progress: Progress
    cancelled: threading.Event
    step: str = ""
    last: str = ""

    def line(self, text: str) -> None:
        if self.cancelled.is_set():
            raise Cancelled
        text = _COLOUR.sub("", text).rstrip()
        print(text, file=self.log, flush=True)
        if _STEP.match(text):
            self.step, self.last = text, ""
            self.progress(Event(self.label, "step", text))
        elif text and not text.startswith(_BUILDER_TALK):
            self.last = text.strip()

    def failure(self, error: str) -> str:
        """The step and its last output, which says more than the engine's repetition of the command; that where there was none."""
        step = self.step if len(self.step) <= _STEP_LENGTH else self.step[: _STEP_LENGTH - 1] + "…"
        code = error.rpartition("returned a non-zero code: ")[2] if "returned a non-zero code: " in error else ""
        reason = f"{self.last} (exit code {code})" if self.last and code else error
        return f"{step}: {reason}" if step else reason


def _summary(failures: Sequence[LabError]) -> LabError:
    """The first failure, which is the one that others may follow from; how many there were besides."""
    first = failures[0]
    if len(failures) == 1:
        return first
    return ImageError(f"{len(failures)} images failed; the first: {first.what}", remedy=first.remedy)
