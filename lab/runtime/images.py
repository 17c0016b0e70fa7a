"""Images of vendors and tools: present or built, found by content.

Callers say what the images are made of (`ImageSource`, filled from the manifests) and get tags. A tag carries the hash of all that went
in, so asking again costs one call to the engine and builds nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.runtime.apt import host_apt
from lab.runtime.bases import base_tag, ensure_bases, ids_by_tag
from lab.runtime.docker_images import DockerImages
from lab.runtime.engine import require_engine
from lab.runtime.image_build import Builder, Job, closure, plan_jobs
from lab.runtime.image_engine import Event, ImageEngine, Progress, silent
from lab.runtime.image_source import ImageSource, Key
from lab.runtime.machine import Machine

__all__ = ["Event", "ImageSource", "ImageStatus", "Progress", "ensure_images", "list_images"]

STATE = Path(".siplab")
"""Where logs and caches are kept: below the working directory, never under version control."""


@dataclass(frozen=True)
class ImageStatus:
    """An image that should be there. `tag` is empty while its base is missing; `size` in bytes, `created` in epoch seconds."""

    source: ImageSource
    tag: str = ""
    id: str = ""
    size: int = 0
    created: int = 0

    @property
    def is_present(self) -> bool:
        """Is it built from exactly what the folders hold now."""
        return bool(self.id)


def ensure_images(
    sources: Sequence[ImageSource],
    *,
    only: Iterable[Key] | None = None,
    state: Path = STATE,
    progress: Progress = silent,
    workers: int | None = None,
    engine: ImageEngine | None = None,
    machine: Machine | None = None,
) -> dict[Key, str]:
    """The hashed tag of every image in `only` (default: all) and of what they need; what is missing is built.

    `sources` must hold everything that may be needed. Raises ImageError (a base or a build) or RuntimeFault (no engine).
    """
    engine = engine or DockerImages(require_engine().address)
    machine = machine or Machine()
    wanted = None if only is None else list(only)
    present = ids_by_tag(engine.images())
    suites = {source.base for source in closure(sources, wanted)}
    if all(base_tag(suite) in present for suite in suites):
        bases = {suite: present[base_tag(suite)] for suite in suites}
    else:
        bases = ensure_bases(suites, engine, state, machine, progress)
    jobs = plan_jobs(sources, wanted, bases)
    missing = [job for job in jobs if job.tag not in present]
    for job in jobs:
        if job.tag in present:
            _keep(job, present, engine, progress)
    if missing:
        Builder(engine, state, machine, progress, host_apt(machine).proxy_is_local).build_all(missing, workers)
    return {job.source.key: job.tag for job in jobs}


def _keep(job: Job, present: dict[str, str], engine: ImageEngine, progress: Progress) -> None:
    """An image that is there: the moving tag follows it, also back to an older state of the folder."""
    if present.get(job.source.moving_tag) != present[job.tag]:
        engine.tag(job.tag, job.source.moving_tag)
    progress(Event(job.source.label, "present", job.tag))


def list_images(sources: Sequence[ImageSource], *, engine: ImageEngine | None = None) -> list[ImageStatus]:
    """What should be there and what is, without building or pulling anything."""
    engine = engine or DockerImages(require_engine().address)
    images = engine.images()
    by_tag = {tag: image for image in images for tag in image.tags}
    ids = ids_by_tag(images)
    bases = {source.base: ids.get(base_tag(source.base), "missing") for source in sources}
    statuses = []
    for job in plan_jobs(sources, None, bases):
        image = by_tag.get(job.tag)
        if image is None:
            statuses.append(ImageStatus(job.source, job.tag if bases[job.source.base] != "missing" else ""))
        else:
            statuses.append(ImageStatus(job.source, job.tag, image.id, image.size, image.created))
    return statuses
