"""Digits as sound (ITU-T Q.23, Q.24): two tones at once, made and recognised 20 ms at a time."""

from __future__ import annotations

import functools
import math
from array import array

from . import g711
from .rtp import SAMPLES

ROWS = (697, 770, 852, 941)
COLUMNS = (1209, 1336, 1477, 1633)
KEYS = ("123A", "456B", "789C", "*0#D")
RATE = 8000
FRAMES = 5
"""Of a digit, and of the silence after it: 100 ms, where ITU-T Q.24 asks for 40 at least."""
AMPLITUDE = 8000
LOUD = 1e5
"""Mean square of a frame below which nobody presses a key."""
PURE = 0.6
"""Least share of a frame's energy that the two tones of a digit have."""
STEADY = 2
"""Frames that a digit, and the pause before the next one, last at least."""


@functools.cache
def sound(codec: str, digit: str) -> tuple[bytes, ...]:
    """The payloads of one digit and of the silence after it."""
    row, column = next((row, keys.index(digit)) for row, keys in enumerate(KEYS) if digit in keys)
    steps = [2 * math.pi * hz / RATE for hz in (ROWS[row], COLUMNS[column])]
    tones = (round(AMPLITUDE * sum(math.sin(step * n) for step in steps)) for n in range(FRAMES * SAMPLES))
    data = g711.encode(codec, array("h", tones).tobytes() + bytes(2 * FRAMES * SAMPLES))
    return tuple(data[n : n + SAMPLES] for n in range(0, len(data), SAMPLES))


class Detector:
    """Tells each digit once, however long it lasts."""

    def __init__(self) -> None:
        self._heard = self._told = ""
        self._frames = 0

    def feed(self, pcm: bytes) -> str:
        """The digit that this frame of 16-bit PCM makes certain; empty where it makes none."""
        digit = _digit(array("h", pcm))
        self._frames = self._frames + 1 if digit == self._heard else 1
        self._heard = digit
        if self._frames < STEADY or digit == self._told:
            return ""
        self._told = digit
        return digit


def _digit(samples: array[int]) -> str:
    energy = sum(sample * sample for sample in samples)
    if energy < LOUD * len(samples):
        return ""
    rows, columns = ([_power(samples, hz) for hz in group] for group in (ROWS, COLUMNS))
    low, high = max(rows), max(columns)
    if low + high < PURE * energy or not 0.1 < low / (high or 1) < 10:
        return ""
    return KEYS[rows.index(low)][columns.index(high)]


def _power(samples: array[int], hz: int) -> float:
    """Energy of one frequency by Goertzel's algorithm, on the scale of the sum of squares."""
    factor = 2 * math.cos(2 * math.pi * hz / RATE)
    one = two = 0.0
    for sample in samples:
        one, two = sample + factor * one - two, one
    return 2 * (one * one + two * two - factor * one * two) / len(samples)
