"""Audio without dependencies: G.711 µ-law, mono 16-bit 8 kHz WAV, sines and a recorder for PCM that an agent receives itself."""

from __future__ import annotations

import math
import os
import struct
import threading
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field

RATE = 8000
AMPLITUDE = 12000
_BIAS, _CLIP = 0x84, 32635


def _to_ulaw(sample: int) -> int:
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), _CLIP) + _BIAS
    exponent = magnitude.bit_length() - 8
    return ~(sign | exponent << 4 | magnitude >> (exponent + 3) & 0x0F) & 0xFF


def _from_ulaw(byte: int) -> int:
    byte = ~byte & 0xFF
    magnitude = (((byte & 0x0F) << 3) + _BIAS << ((byte & 0x70) >> 4)) - _BIAS
    return -magnitude if byte & 0x80 else magnitude


_DECODE = [struct.pack("<h", _from_ulaw(byte)) for byte in range(256)]


def pcmu_encode(pcm: bytes) -> bytes:
    """16-bit little-endian PCM to G.711 µ-law."""
    samples = array("h", pcm)
    return bytes(_to_ulaw(sample) for sample in samples)


def pcmu_decode(data: bytes) -> bytes:
    """G.711 µ-law to 16-bit little-endian PCM."""
    return b"".join(_DECODE[byte] for byte in data)


def sine(hz: float, samples: int, first: int = 0, amplitude: int = AMPLITUDE) -> bytes:
    """`samples` of a sine as PCM, continuing at sample number `first`; 0 Hz is silence."""
    if not hz:
        return bytes(2 * samples)
    step = 2 * math.pi * hz / RATE
    return array("h", (round(amplitude * math.sin(step * (first + n))) for n in range(samples))).tobytes()


def wav_header(size: int, rate: int = RATE) -> bytes:
    """44 bytes that make `size` bytes of mono 16-bit PCM a WAV file."""
    return (
        b"RIFF"
        + struct.pack("<I", 36 + size)
        + b"WAVEfmt "
        + struct.pack("<IHHIIHH", 16, 1, 1, rate, rate * 2, 2, 16)
        + b"data"
        + struct.pack("<I", size)
    )


def write_wav(path: str, pcm: bytes, rate: int = RATE) -> None:
    """Write mono 16-bit PCM so that a reader never sees half a file."""
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    partial = path + ".part"
    with open(partial, "wb") as file:
        file.write(wav_header(len(pcm), rate) + pcm)
    os.replace(partial, path)


def tone_wav(path: str, hz: int, seconds: int = 1) -> str:
    """A WAV file that loops without a click: whole seconds of a whole number of Hz are whole cycles. Returns `path`."""
    write_wav(path, sine(hz, RATE * seconds))
    return path


@dataclass
class _Slice:
    path: str
    wanted: int
    done: Callable[[str, float], None]
    pcm: bytearray = field(default_factory=bytearray)


class PcmRecorder:
    """Cuts recordings out of received PCM (mono, 16 bit, 8 kHz). Safe from every thread."""

    def __init__(self, rate: int = RATE) -> None:
        self._rate = rate
        self._lock = threading.Lock()
        self._slices: list[_Slice] = []

    def start(self, path: str, seconds: float, done: Callable[[str, float], None]) -> None:
        """Collect what comes from now on; `done(path, seconds)` is called when `seconds` of it are written to `path`."""
        with self._lock:
            self._slices.append(_Slice(path, 2 * round(seconds * self._rate), done))

    def feed(self, pcm: bytes) -> None:
        """Received audio."""
        with self._lock:
            for part in self._slices:
                part.pcm += pcm[: part.wanted - len(part.pcm)]
            full = [part for part in self._slices if len(part.pcm) >= part.wanted]
            self._slices = [part for part in self._slices if len(part.pcm) < part.wanted]
        for part in full:
            self._finish(part)

    def close(self) -> None:
        """No more audio will come: finish what has any; `done` then tells how many seconds it really is."""
        with self._lock:
            left, self._slices = self._slices, []
        for part in left:
            if part.pcm:
                self._finish(part)

    def _finish(self, part: _Slice) -> None:
        write_wav(part.path, bytes(part.pcm), self._rate)
        part.done(part.path, len(part.pcm) / 2 / self._rate)
