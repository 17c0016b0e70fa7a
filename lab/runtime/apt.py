"""The host's apt: installs what set-up misses, and lends its settings to the base images.

A site that uses a mirror, a proxy or a frozen archive has said so to its own apt once; images are built with the same words, so that
no host name, proxy or date setting is ever written into this project.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from lab.errors import RuntimeFault
from lab.runtime.machine import Completed, Machine

Say = Callable[[str], None]

_INHERITED = re.compile(
    r"^Acquire::(Check-Valid-Until|Check-Date|Max-FutureTime|Retries"
    r"|https?::(Proxy(::.+)?|Timeout|Pipeline-Depth|Verify-Peer|Verify-Host|No-Cache))$"
)
_OPTION = re.compile(r'^(?P<key>[A-Za-z][^ ]*) "(?P<value>.*)";$')
_NONINTERACTIVE = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}


@dataclass(frozen=True)
class Origin:
    """One suite of the host's Debian archive: `suffix` is what follows the codename (``, `-updates`, `-security`)."""

    uri: str
    suffix: str
    components: tuple[str, ...]

    def line(self, suite: str) -> str:
        """The sources.list(5) line for another release of the same archive."""
        return f"deb {self.uri} {suite}{self.suffix} {' '.join(self.components)}"


@dataclass(frozen=True)
class HostApt:
    """What the base images inherit. `origins` is empty where the host is no Debian: then the tools' own default archive is used."""

    options: tuple[tuple[str, str], ...] = ()
    origins: tuple[Origin, ...] = ()

    def configuration(self) -> str:
        """The options as an apt.conf(5) fragment."""
        return "".join(f'{key} "{value}";\n' for key, value in self.options)

    def sources(self, suite: str) -> str:
        """sources.list(5) for `suite`; empty where the default archive is to be used. Debian's sid has no -updates and no -security."""
        rolling = suite in {"sid", "unstable"}
        return "".join(origin.line(suite) + "\n" for origin in self.origins if not (rolling and origin.suffix))

    @property
    def needs_https(self) -> bool:
        """Does apt in an image have to verify a server's certificate before ca-certificates is installed."""
        return any(origin.uri.startswith("https:") for origin in self.origins)

    @property
    def proxy_is_local(self) -> bool:
        """Is a proxy on this host's loopback: a build reaches it in the host's network only."""
        proxies = (value for key, value in self.options if "Proxy" in key)
        return any(urlsplit(value).hostname in {"localhost", "127.0.0.1", "::1"} for value in proxies)


def host_apt(machine: Machine) -> HostApt:
    """Ask the host's apt. A host without apt lends nothing."""
    if not machine.is_debian_like() or machine.which("apt-config") is None:
        return HostApt()
    options = inherited_options(machine.run(["apt-config", "dump"], timeout=20).output)
    release = machine.os_release()
    if release.get("ID") != "debian" or not release.get("VERSION_CODENAME"):
        return HostApt(options)
    form = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(ORIGIN)|$(SIGNED_BY)"
    targets = machine.run(["apt-get", "indextargets", "--format", form, "Created-By: Packages"], timeout=20)
    return HostApt(options, archive_origins(targets.output, release["VERSION_CODENAME"]) if targets.code == 0 else ())


def inherited_options(dump: str) -> tuple[tuple[str, str], ...]:
    """The options of `apt-config dump` that decide how an archive is reached and how old it may be."""
    matches = (_OPTION.match(line.strip()) for line in dump.splitlines())
    pairs = ((match["key"], match["value"]) for match in matches if match)
    return tuple((key, value) for key, value in pairs if value and _INHERITED.match(key))


def archive_origins(targets: str, codename: str) -> tuple[Origin, ...]:
    """From `uri|release|component|origin|signed-by` lines: where the host gets Debian itself from, third parties left out.

    Origin is known only once lists were downloaded; without it, the archive's keyring or the path's name tell.
    """
    rows = [line.split("|") for line in targets.splitlines() if line.count("|") == 4]
    found: list[Origin] = []
    for suffix in ("", "-updates", "-security"):
        mine = [row for row in rows if row[1] == codename + suffix and _is_debian(row)]
        if mine:
            uri = mine[0][0]
            components = tuple(dict.fromkeys(row[2] for row in mine if row[0] == uri))
            found.append(Origin(uri, suffix, components))
    return tuple(found) if found and not found[0].suffix else ()


def _is_debian(row: Sequence[str]) -> bool:
    uri, _, component, origin, signed_by = row
    if origin and not origin.startswith("$("):
        return origin == "Debian"
    return component == "main" and ("debian-archive" in signed_by or urlsplit(uri).path.strip("/").split("/")[-1].startswith("debian"))


def install(machine: Machine, packages: Sequence[str], say: Say) -> None:
    """apt-get install, lists refreshed first where they are missing, once more where they are stale. RuntimeFault names the command."""
    if not machine.has_apt_lists():
        _update(machine, say)
        done = _install(machine, packages, say)
    else:
        done = _install(machine, packages, say)
        if done.code:
            _update(machine, say)
            done = _install(machine, packages, say)
    if done.code:
        names = " ".join(packages)
        raise RuntimeFault(
            f"apt-get install {names}: {done.last_line()}", remedy=f"run `apt-get update && apt-get install {names}` by hand"
        )


def _install(machine: Machine, packages: Sequence[str], say: Say) -> Completed:
    say(f"apt-get install {' '.join(packages)}")
    argv = ["apt-get", "install", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120", *packages]
    return machine.run(argv, timeout=900, env=_NONINTERACTIVE)


def _update(machine: Machine, say: Say) -> None:
    say("apt-get update")
    done = machine.run(["apt-get", "update"], timeout=300, env=_NONINTERACTIVE)
    if done.code:
        raise RuntimeFault(f"apt-get update: {done.last_line()}", remedy="make apt-get update work on this machine first")
