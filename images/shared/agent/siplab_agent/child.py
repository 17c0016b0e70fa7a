"""A process that the agent supervises: its output is drained, its end is noticed, it is reaped."""

from __future__ import annotations

import os
import select
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence

from .faults import Refused
from .wire import log

MAX_LOG = 16 * 1024 * 1024
MAX_LOG_LINE = 4096
MAX_REST = 1024 * 1024


def describe_end(returncode: int) -> tuple[int | None, int | None]:
    """(signal, exit code) of a return code as `subprocess` tells it: exactly one of them is not None."""
    return (-returncode, None) if returncode < 0 else (None, returncode)


class Child:
    """Run `argv`; its stdout and stderr go line by line to `on_line` (if any) and, bounded, to our stderr.

    `on_exit(returncode)` is called once from a thread of the child's own, after all of its output was read, unless `end()` asked
    for the end. Both callbacks run in the child's threads: use `agent.post` to get to the main thread.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        name: str,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        on_line: Callable[[str], None] | None = None,
        on_exit: Callable[[int], None] | None = None,
        echo: bool = True,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.name = name
        self.expected = False
        self.done = threading.Event()
        self._on_line, self._on_exit = on_line, on_exit
        self._echo = echo
        self._logged = 0
        self._lock = threading.RLock()
        self._rest = b""
        self._process = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            pass_fds=pass_fds,
        )
        assert self._process.stdout
        self._fd = self._process.stdout.fileno()
        os.set_blocking(self._fd, False)
        threading.Thread(target=self._watch, name=f"{name}-watch", daemon=True).start()

    @property
    def pid(self) -> int:
        """Process id, for tests and logs."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """True until the process ended."""
        return not self.done.is_set()

    def write(self, data: bytes) -> None:
        """Write to its stdin; OSError where it is gone."""
        assert self._process.stdin
        self._process.stdin.write(data)
        self._process.stdin.flush()

    def end(self, timeout: float = 1.0) -> None:
        """End it on purpose: SIGTERM, then SIGKILL after `timeout` seconds. `on_exit` is not called. Idempotent."""
        self.expected = True
        if not self.done.is_set():
            self._process.terminate()
        if not self.done.wait(timeout):
            log(f"{self.name} ignores SIGTERM: killing it")
            self._process.kill()
            self.done.wait(1.0)

    def drain(self) -> bool:
        """Digest all output that is there now; False at its end. Whoever learns of something on another channel (a control
        socket) calls it first: what was printed before is then digested before. From any thread."""
        with self._lock:
            while not self.done.is_set():
                try:
                    data = os.read(self._fd, 65536)
                except BlockingIOError:
                    return True
                if not data:
                    return False
                *lines, self._rest = (self._rest + data).split(b"\n")
                for line in lines:
                    self._digest(line)
                self._rest = self._rest[-MAX_REST:]
        return False

    def _watch(self) -> None:
        while select.select([self._fd], [], []) and self.drain():
            pass
        if self._rest:
            self._digest(self._rest)
        returncode = self._process.wait()
        with self._lock:
            self.done.set()
            self._release()
        if self._on_exit and not self.expected:
            self._on_exit(returncode)

    def _release(self) -> None:
        assert self._process.stdout
        assert self._process.stdin
        self._process.stdout.close()
        try:
            self._process.stdin.close()
        except OSError as error:  # what was still buffered has no reader any more
            log(f"{self.name}: {error}")

    def _digest(self, raw: bytes) -> None:
        line = raw.decode("utf-8", "replace").rstrip("\r")
        self._copy(line)
        if not self._on_line:
            return
        try:
            self._on_line(line)
        except Exception as error:
            log(f"{self.name}: cannot digest line {line[:200]!r}: {error!r}")

    def _copy(self, line: str) -> None:
        if not self._echo or self._logged > MAX_LOG:
            return
        data = f"{self.name}| {line[:MAX_LOG_LINE]}\n".encode("utf-8", "replace")
        self._logged += len(data)
        if self._logged > MAX_LOG:
            data = f"{self.name}| further output suppressed after {MAX_LOG} bytes\n".encode()
        os.write(2, data)


def output_of(argv: Sequence[str], timeout: float) -> str:
    """What a command prints, without blanks around it; Refused where it fails, or has not ended in time. Nobody must reap meanwhile."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=timeout, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Refused(f"{argv[0]}: {error}") from error
    if done.returncode:
        raise Refused(f"{' '.join(argv)}: ended with {done.returncode}: {(done.stderr or done.stdout).strip()[:200]}")
    return done.stdout.strip()


def reap_orphans(known: set[int]) -> None:
    """Collect processes that were handed to us as PID 1 and that no `Child` waits for.

    WNOWAIT leaves our own children to their waiters; a known zombie at the head of the queue is left for the next call.
    """
    while True:
        try:
            info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if info is None or info.si_pid in known:
            return
        try:
            os.waitpid(info.si_pid, os.WNOHANG)
        except ChildProcessError:
            return
