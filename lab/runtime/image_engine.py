"""What image building needs of a container engine: a protocol, so that everything but `docker_images` is tested with a fake."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

State = Literal["queued", "started", "step", "done", "failed", "present"]


@dataclass(frozen=True)
class Event:
    """Progress of one image (`phone:1.0`, `base:trixie`). `text` is the step, the reason or the tag."""

    image: str
    state: State
    text: str = ""


Progress = Callable[[Event], None]
"""Called from several threads at once: the receiver does the locking."""


def silent(event: Event) -> None:
    """The progress receiver for callers that want none."""


@dataclass(frozen=True)
class ImageInfo:
    """An image the engine holds. `size` in bytes, `created` in seconds since the epoch."""

    id: str
    tags: tuple[str, ...]
    size: int
    created: int
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class BuildRequest:
    """One `docker build`: `context` is a tar archive with the Dockerfile at its root."""

    tag: str
    context: bytes
    args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    host_network: bool = False


class RegistryUnreachable(Exception):
    """No registry answers for a reference: bootstrap it, or say so. The text is the engine's reason."""


class BuildFailed(Exception):
    """A Dockerfile step ended in an error; its output went to the build's line callback already."""


class ImageEngine(Protocol):
    """A container engine's image store. All methods are safe to call from several threads at once."""

    def images(self) -> list[ImageInfo]:
        """Every tagged image, in one call."""

    def pull(self, reference: str, deadline: float) -> None:
        """Pull `name:tag`; RegistryUnreachable where no registry answers within `deadline` seconds or does not have it."""

    def import_archive(self, archive: Path, reference: str, labels: Mapping[str, str]) -> None:
        """Make an image from a root filesystem's tar file."""

    def build(self, request: BuildRequest, on_line: Callable[[str], None]) -> None:
        """Build; every output line goes to `on_line`, which may raise to cancel. BuildFailed with the engine's message."""

    def tag(self, reference: str, new: str) -> None:
        """Give an image another `name:tag`."""
