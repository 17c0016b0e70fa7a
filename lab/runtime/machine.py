"""The machine that siplab runs on: everything that set-up reads from it or does to it.

One class, so that the decisions in `engine`, `apt` and `bases` are tested with a fake machine and never need a bare one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Completed:
    """A finished command: its exit code, and stdout and stderr as one text."""

    code: int
    output: str

    def last_line(self) -> str:
        """The last line that says anything: what a one-line error quotes."""
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        return lines[-1] if lines else f"exit code {self.code}, no output"


class Machine:
    """The real thing. Methods raise OSError as the operating system does, but `run` reports failures as exit codes."""

    @property
    def is_root(self) -> bool:
        """May this process install packages and start daemons."""
        return os.geteuid() == 0

    @property
    def platform(self) -> str:
        """`linux`, `darwin`, `win32`."""
        return sys.platform

    def os_release(self) -> dict[str, str]:
        """/etc/os-release as a mapping (os-release(5)); empty where there is none."""
        path = Path("/etc/os-release")
        return parse_os_release(path.read_text()) if path.is_file() else {}

    def is_debian_like(self) -> bool:
        """Debian, Ubuntu or one of their children: apt-get is how things are installed."""
        release = self.os_release()
        family = {release.get("ID", ""), *release.get("ID_LIKE", "").split()}
        return bool(family & {"debian", "ubuntu"})

    def has_systemd(self) -> bool:
        """Was this machine booted with systemd (sd_booted(3)); then services are its business."""
        return Path("/run/systemd/system").is_dir()

    def which(self, program: str) -> str | None:
        """Where `program` is, also in the sbin folders that a user's PATH may lack."""
        path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
        return shutil.which(program, path=path)

    def run(self, argv: Sequence[str], *, timeout: float = 600, env: Mapping[str, str] | None = None) -> Completed:
        """Run a command to its end without a terminal; 127 where it cannot be started, 124 after `timeout` seconds."""
        merged = {**os.environ, **(env or {})}
        try:
            done = subprocess.run(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=timeout,
                env=merged,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Completed(124, f"{argv[0]} did not end within {timeout:.0f} s")
        except OSError as error:
            return Completed(127, f"{argv[0]}: {error.strerror}")
        return Completed(done.returncode, done.stdout)

    def spawn(self, argv: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
        """Start a daemon in its own session, so that neither Ctrl-C nor our end reaches it; its output is appended to `log`."""
        with log.open("ab") as output:
            return subprocess.Popen(
                list(argv), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, cwd="/"
            )

    def read(self, path: Path) -> str | None:
        """A file's text; None where there is no such file."""
        try:
            return path.read_text(errors="replace")
        except FileNotFoundError:
            return None

    def remove(self, path: Path) -> None:
        """Delete a file; gone already is fine."""
        path.unlink(missing_ok=True)

    def program_of(self, pid: int) -> str:
        """The program that process `pid` executes; empty where it is gone or a zombie (whose /proc/PID/exe cannot be read)."""
        try:
            return os.path.basename(os.readlink(f"/proc/{pid}/exe")).removesuffix(" (deleted)")
        except OSError:
            return ""

    def has_apt_lists(self) -> bool:
        """Are package lists there, or must `apt-get update` come first."""
        return any(Path("/var/lib/apt/lists").glob("*_Packages*"))


def parse_os_release(text: str) -> dict[str, str]:
    """Variables of an os-release file, quotes removed."""
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip().strip("\"'") for key, value in pairs}
