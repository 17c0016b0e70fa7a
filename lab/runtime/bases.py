"""Base images: one per Debian suite, `siplab/base:SUITE`, with the host's apt settings inside.

A base that exists is used as it is. Otherwise Debian's own slim image is pulled and completed; where no registry answers, the suite
is bootstrapped by mmdebstrap and imported. Either way the result has the same name, so that nothing after this cares.
"""

from __future__ import annotations

import shlex
import tempfile
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from lab.errors import ImageError, LabError
from lab.runtime import apt
from lab.runtime.apt import HostApt, host_apt
from lab.runtime.image_engine import BuildFailed, BuildRequest, Event, ImageEngine, ImageInfo, Progress, RegistryUnreachable, silent
from lab.runtime.image_source import REPOSITORY, ContextFile, archive
from lab.runtime.machine import Machine

PULL_SECONDS = 10.0
"""How long a registry may take to say that it has the image. Offline must be told apart quickly."""

_PACKAGES = ("ca-certificates", "netbase")
_HOST_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
_HOST_AUTHORITIES = Path("/usr/local/share/ca-certificates")
_BOOTSTRAP_SECONDS = 900.0
_LEFT_OUT = ("/usr/share/man/*", "/usr/share/info/*", "/usr/share/doc/*", "/usr/share/locale/*")
_KEPT = ("/usr/share/doc/*/copyright",)


def base_tag(suite: str) -> str:
    """The base image of a Debian suite, as Dockerfiles get it in `ARG BASE`."""
    return f"{REPOSITORY}/base:{suite}"


def ensure_bases(
    suites: Iterable[str], engine: ImageEngine, state: Path, machine: Machine | None = None, progress: Progress = silent
) -> dict[str, str]:
    """Image id of the base of every suite; the missing ones are made in parallel. `state` is where logs and scratch files go.

    ImageError says which suite could be had by no way, and why.
    """
    present = ids_by_tag(engine.images())
    wanted = sorted(set(suites))
    missing = [suite for suite in wanted if base_tag(suite) not in present]
    if not missing:
        return {suite: present[base_tag(suite)] for suite in wanted}
    maker = BaseMaker(engine, state, machine or Machine(), progress, frozenset(present))
    with ThreadPoolExecutor(max_workers=len(missing), thread_name_prefix="base") as pool:
        for future in [pool.submit(maker.make, suite, base_tag(suite)) for suite in missing]:
            future.result()
    present = ids_by_tag(engine.images())
    return {suite: present[base_tag(suite)] for suite in wanted}


def ids_by_tag(images: Iterable[ImageInfo]) -> dict[str, str]:
    """Tag → image id."""
    return {tag: image.id for image in images for tag in image.tags}


@dataclass
class BaseMaker:
    """Makes bases, several at once. `present` are the tags that the engine has already."""

    engine: ImageEngine
    state: Path
    machine: Machine
    progress: Progress
    present: frozenset[str] = frozenset()
    _installing: threading.Lock = field(default_factory=threading.Lock)

    def make(self, suite: str, tag: str) -> None:
        """Pull and complete, or bootstrap; the tag exists afterwards."""
        label = f"base:{suite}"
        self.progress(Event(label, "started"))
        try:
            settings = host_apt(self.machine)
            official = f"debian:{suite}-slim"
            reason = self._fetch(official, label)
            if reason is None:
                self._complete(official, suite, tag, settings)
            else:
                self.progress(Event(label, "step", f"no registry has {official} for us ({reason}): bootstrapping with mmdebstrap"))
                self.bootstrap(suite, tag, settings)
        except LabError as error:
            self.progress(Event(label, "failed", str(error)))
            raise
        self.progress(Event(label, "done", tag))

    def _fetch(self, official: str, label: str) -> str | None:
        """None where the official image is on the engine now, else why not."""
        if official in self.present:
            return None
        self.progress(Event(label, "step", f"pulling {official}"))
        try:
            self.engine.pull(official, PULL_SECONDS)
        except RegistryUnreachable as error:
            return str(error)
        return None

    def _complete(self, official: str, suite: str, tag: str, settings: HostApt) -> None:
        log = self._log(suite)
        labels = {"siplab.base": suite, "siplab.base.origin": official}
        request = BuildRequest(tag, completion_context(official, suite, settings), {}, labels, settings.proxy_is_local)
        try:
            with log.open("w") as output:
                self.engine.build(request, lambda line: print(line, file=output))
        except BuildFailed as error:
            raise ImageError(f"completing {official} for {tag}: {error}", remedy=f"read {log}") from error

    def bootstrap(self, suite: str, tag: str, settings: HostApt) -> None:
        """mmdebstrap to a tar file, import, forget the file."""
        self._require_mmdebstrap(suite)
        log = self._log(suite)
        with tempfile.TemporaryDirectory(prefix="siplab-base-") as folder:
            target = Path(folder) / "root.tar"
            self.progress(Event(f"base:{suite}", "step", f"mmdebstrap {suite}"))
            done = self.machine.run(mmdebstrap_argv(suite, target, settings), timeout=_BOOTSTRAP_SECONDS)
            log.write_text(done.output)
            if done.code:
                raise ImageError(f"mmdebstrap {suite}: {done.last_line()}", remedy=f"read {log}")
            self.progress(Event(f"base:{suite}", "step", f"importing {tag}"))
            self.engine.import_archive(target, tag, {"siplab.base": suite, "siplab.base.origin": "mmdebstrap"})

    def _require_mmdebstrap(self, suite: str) -> None:
        with self._installing:
            if self.machine.which("mmdebstrap"):
                return
            if not (self.machine.is_root and self.machine.is_debian_like()):
                raise ImageError(
                    f"base {suite}: no registry answers, and mmdebstrap can be installed by root on Debian or Ubuntu only",
                    remedy=f"install mmdebstrap, or `docker load` an image tagged debian:{suite}-slim",
                )
            apt.install(
                self.machine,
                ["mmdebstrap", "debian-archive-keyring"],
                lambda text: self.progress(Event(f"base:{suite}", "step", text)),
            )

    def _log(self, suite: str) -> Path:
        folder = self.state / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"base-{suite}.log"


def completion_context(official: str, suite: str, settings: HostApt) -> bytes:
    """The build that turns Debian's slim image into a base: apt settings first, then the packages that every element needs."""
    files = [ContextFile("apt.conf", settings.configuration().encode())]
    steps = [f"FROM {official}", "COPY apt.conf /etc/apt/apt.conf.d/99siplab"]
    sources = settings.sources(suite)
    if sources:
        files.append(ContextFile("sources.list", sources.encode()))
        steps += ["COPY sources.list /etc/apt/sources.list", "RUN rm -f /etc/apt/sources.list.d/debian.sources"]
    if settings.needs_https and _HOST_BUNDLE.is_file():
        files.append(ContextFile("bundle.crt", _HOST_BUNDLE.read_bytes()))
        steps.append(f"COPY bundle.crt {_HOST_BUNDLE}")
        files += [ContextFile(f"authorities/{path.name}", path.read_bytes()) for path in host_authorities()]
        if host_authorities():
            steps.append(f"COPY authorities {_HOST_AUTHORITIES}")
    install = f"apt-get install -y --no-install-recommends {' '.join(_PACKAGES)}"
    steps.append(f"RUN apt-get update && {install} && rm -rf /var/lib/apt/lists/*")
    files.append(ContextFile("Dockerfile", ("\n".join(steps) + "\n").encode()))
    return archive(sorted(files, key=lambda file: file.path))


def mmdebstrap_argv(suite: str, target: Path, settings: HostApt) -> list[str]:
    """The bootstrap command: the host's apt settings stay in the image, manuals and translations stay out (as in Debian's slim)."""
    argv = ["mmdebstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}"]
    argv += [f'--aptopt={key} "{value}"' for key, value in settings.options]
    argv += [f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT]
    argv += [f"--dpkgopt=path-include={pattern}" for pattern in _KEPT]
    if settings.needs_https and host_authorities():
        folder = shlex.quote(str(_HOST_AUTHORITIES))
        argv += [f"--customize-hook=sync-in {folder} {folder}", '--customize-hook=chroot "$1" update-ca-certificates']
    return [*argv, suite, str(target), *settings.sources(suite).splitlines()]


def host_authorities() -> list[Path]:
    """Certificate authorities that this site added to its hosts: an https mirror inside it is signed by one."""
    return sorted(_HOST_AUTHORITIES.glob("*.crt"))
