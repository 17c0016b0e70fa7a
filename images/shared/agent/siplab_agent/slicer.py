"""Recordings cut out of a WAV file that the software is still writing."""

from __future__ import annotations

import ctypes
import os
import select
import struct
import threading
from collections.abc import Callable

from .audio import PcmRecorder
from .wire import log

HEADER = 44
POLL = 0.05
_IN_MODIFY, _IN_CLOSE_WRITE, _IN_MOVED_TO, _IN_CREATE = 0x2, 0x8, 0x80, 0x100


class FileWatch:
    """inotify on one folder; where the kernel refuses (instance limit), waiting degrades to 50 ms."""

    def __init__(self, folder: str) -> None:
        self._lock = threading.Lock()
        self._closed = False
        libc = ctypes.CDLL(None, use_errno=True)
        self._woken, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        mask = _IN_MODIFY | _IN_CLOSE_WRITE | _IN_MOVED_TO | _IN_CREATE
        if self._fd >= 0 and libc.inotify_add_watch(self._fd, folder.encode(), mask) < 0:
            os.close(self._fd)
            self._fd = -1
        if self._fd < 0:
            log(f"no inotify on {folder} ({os.strerror(ctypes.get_errno())}): polling")

    @property
    def source(self) -> str:
        """`native` when the kernel tells, else `polled`: what an event's `source` should say."""
        return "native" if self._fd >= 0 else "polled"

    def wait(self, timeout: float) -> None:
        """Until something in the folder changed or `wake` was called, at most `timeout` seconds."""
        if self._fd < 0:
            select.select([self._woken], [], [], min(timeout, POLL))
        elif self._fd in select.select([self._fd, self._woken], [], [], timeout)[0]:
            os.read(self._fd, 65536)

    def wake(self) -> None:
        """Make `wait` return, now and ever after. Harmless when closed, which the waiting thread may do at any time."""
        with self._lock:
            if not self._closed:
                os.write(self._wake, b"x")

    def close(self) -> None:
        """Release the descriptors. Idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for descriptor in (self._fd, self._woken, self._wake):
                if descriptor >= 0:
                    os.close(descriptor)


class WavSlicer:
    """Follows one WAV file (mono, 16 bit) that grows, may not exist yet, and may be truncated or replaced at any time.

    Sizes in the header are ignored: writers fill them in on closing only. A truncated or replaced file (baresip's aufile at every
    re-INVITE) is read from its beginning, so a recording goes on across it.
    """

    def __init__(self, path: str, rate: int = 8000) -> None:
        self.path = path
        self._recorder = PcmRecorder(rate)
        self._watch = FileWatch(os.path.dirname(path) or ".")
        self._seen = (0, HEADER)  # inode, offset
        self._stop = threading.Event()
        self._lock = threading.RLock()
        self._thread = threading.Thread(target=self._follow, name="wav-slicer", daemon=True)
        self._thread.start()

    @property
    def source(self) -> str:
        """What an event about these recordings should name as its `source`."""
        return self._watch.source

    def record(self, path: str, seconds: float, done: Callable[[str, float], None]) -> None:
        """Write the next `seconds` of audio to `path`, then call `done(path, seconds)` from the follower's thread."""
        with self._lock:
            self._recorder.feed(self._read())  # what is there already is not "from now on"
            self._recorder.start(path, seconds, done)

    def finish(self) -> None:
        """The call is over but the software will use the file again: finish recordings with what there is."""
        with self._lock:
            self._feed()
            self._recorder.close()

    def close(self) -> None:
        """The call is over: finish recordings with what there is. Idempotent."""
        if not self._stop.is_set():
            self._stop.set()
            self._watch.wake()
        if threading.current_thread() is not self._thread:
            self._thread.join(1.0)

    def _follow(self) -> None:
        while not self._stop.is_set():
            self._watch.wait(0.25)
            self._feed()
        self._feed()
        self._recorder.close()
        self._watch.close()

    def _feed(self) -> None:
        with self._lock:
            pcm = self._read()
            if pcm:
                self._recorder.feed(pcm)

    def _read(self) -> bytes:
        """New whole samples since the last call."""
        try:
            with open(self.path, "rb") as file:
                status = os.fstat(file.fileno())
                inode, offset = self._seen
                if status.st_ino != inode or status.st_size < offset:
                    offset = HEADER
                file.seek(offset)
                data = file.read(max(0, status.st_size - offset) & ~1)
                self._seen = (status.st_ino, offset + len(data))
                return data
        except FileNotFoundError:
            return b""


def wav_rate(path: str) -> int:
    """Sample rate in the header of a WAV file with the usual 44 byte header."""
    with open(path, "rb") as file:
        return int(struct.unpack("<I", file.read(28)[24:28])[0])
