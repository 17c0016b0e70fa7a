"""A sound card made of pipes: PulseAudio plays what twinkle sends to a speaker into a FIFO, and takes its microphone from another.

The agent holds the far ends: it keeps the microphone's FIFO filled with the tone, in real time, and reads every speaker.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import threading
import time

from siplab_agent import RATE, Agent, PcmRecorder, sine

FOLDER = "/run/twinkle"
SOCKET = f"{FOLDER}/pulse"
SPEAKERS = 4
"""Speakers that PulseAudio is started with, and so the number of accounts of an element."""
FRAME = 0.02
"""Seconds of tone that are written at once."""
PIPE = 4096
"""Bytes that the microphone's FIFO may hold (0.26 s): an old tone is not heard for longer after a change."""


def start(agent: Agent, within: float = 4.0) -> None:
    """Bring PulseAudio up; RuntimeError where it does not listen in time. Its protocol module is loaded last, so by then all is there."""
    os.makedirs(FOLDER, exist_ok=True)
    format_ = "format=s16le rate=8000 channels=1"
    sinks = [
        f"module-pipe-sink sink_name=speaker{number} file={FOLDER}/speaker{number} {format_} use_system_clock_for_timing=yes"
        for number in range(SPEAKERS)
    ]
    source = f"module-pipe-source source_name=microphone file={FOLDER}/microphone {format_}"
    modules = [*sinks, source, f"module-native-protocol-unix auth-anonymous=1 socket={SOCKET}"]
    options = "-n --daemonize=no --use-pid-file=no --exit-idle-time=-1 --disallow-exit --realtime=no --high-priority=no --disable-shm=yes"
    loading = [word for module in modules for word in ("-L", module)]
    child = agent.spawn(["pulseaudio", *options.split(), *loading], name="pulseaudio", env={"HOME": FOLDER})
    deadline = time.monotonic() + within
    while not _listens():
        if time.monotonic() > deadline or not child.alive:
            raise RuntimeError(f"pulseaudio does not listen on {SOCKET} after {within} s")
        time.sleep(0.01)  # nothing tells when it listens


def _listens() -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(SOCKET) == 0


class Mouth:
    """Writes the element's tone into the microphone, for all calls alike; `hz` may be changed at any time, 0 is silence."""

    def __init__(self, hz: int) -> None:
        self.hz = hz
        threading.Thread(target=self._speak, name="mouth", daemon=True).start()

    def _speak(self) -> None:
        pipe = os.open(f"{FOLDER}/microphone", os.O_WRONLY | os.O_NONBLOCK)
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE)
        samples = round(RATE * FRAME)
        position, start = 0, time.monotonic()
        while True:
            with contextlib.suppress(BlockingIOError):  # full, as no call uses the microphone
                os.write(pipe, sine(self.hz, samples, position))
            position += samples
            time.sleep(max(0.0, start + position / RATE - time.monotonic()))


class Ear:
    """Reads what twinkle plays to one speaker, silence while it plays nothing, and hands it to `recorder`."""

    def __init__(self, speaker: int) -> None:
        self.recorder = PcmRecorder()
        self._path = f"{FOLDER}/speaker{speaker}"
        threading.Thread(target=self._listen, name=f"ear-{speaker}", daemon=True).start()

    def _listen(self) -> None:
        with open(self._path, "rb", buffering=0) as pipe:
            rest = b""
            while data := pipe.read(4096):
                data = rest + data
                whole = len(data) & ~1
                self.recorder.feed(data[:whole])
                rest = data[whole:]
