"""What one element said to another, as it can be heard on the wire: which tones, in what order, and whether it holds another sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, product

import numpy as np

from lab.errors import EvidenceError
from lab.evidence.audio import Samples, Spectrum, tolerance
from lab.evidence.check import Check

RATE = 8000
"""Samples per second of G.711 (RFC 3551 §4.5.14), which is all that is read here."""
WINDOW, HOP = 0.1, 0.05
"""Seconds that a tone is looked for in, and by which the next look is later."""
LEAST_RUN = 0.3
"""Seconds that a tone has to last to be told."""
LEAST_SHARE = 0.5
"""Part of the energy that a tone has where it is the only one."""
MIXED_SHARE = 0.1
"""Part of the energy that a tone has where it is one of up to five of about the same level."""
LEAKED_SHARE = 0.02
"""Part of the energy (-17 dB) from which on a tone is there."""
KEYPAD = dict(zip("123A456B789C*0#D", product((697, 770, 852, 941), (1209, 1336, 1477, 1633)), strict=True))
"""Digit -> its two tones in Hz (ITU-T Q.23)."""
KEY_SHARE = 0.25
"""Part of the energy that each of the two has."""
ALIKE = 0.9
"""Normalised cross-correlation of the same sound, though coded, stored and coded again."""


@dataclass(frozen=True)
class Run:
    """A tone that was there alone from `begin`, `seconds` long."""

    hz: int
    begin: float
    seconds: float


@dataclass(frozen=True)
class Sound:
    """All audio of `source` to `destination`, one packet after the other as a recorder would have it. Checks blame the source."""

    source: str
    destination: str
    samples: Samples
    frame: int | None = None

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.source} → {self.destination}"

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.samples) / RATE

    def _spectra(self) -> list[Spectrum]:
        length = round(WINDOW * RATE)
        starts = range(0, len(self.samples) - length + 1, round(HOP * RATE))
        return [Spectrum(self.samples[start : start + length], RATE) for start in starts]

    def runs(self) -> list[Run]:
        """The pure tones, in order; what is no tone, or a short one, is left out."""
        tones = [round(s.peak) if s.audible and s.share(s.peak) >= LEAST_SHARE else 0 for s in self._spectra()]
        found, position = [], 0
        for hz, group in groupby(_steady(tones)):
            length = len(list(group))
            if hz and length * HOP >= LEAST_RUN:
                found.append(Run(hz, position * HOP, length * HOP))
            position += length
        return found

    def of(self, hz: float) -> list[Run]:
        """The runs of this tone."""
        return [run for run in self.runs() if abs(run.hz - hz) <= tolerance(hz)]

    def holds(self, hz: float, *, times: int = 1) -> Check:
        """This tone came at least so often."""
        found = self.of(hz)
        told = ", ".join(f"{run.hz} Hz for {run.seconds:.1f} s" for run in self.runs()) or "no tone"
        what = f"{self.name}: {hz:g} Hz {len(found)} times, should be {times} ({self.seconds:.1f} s of audio: {told})"
        return Check(len(found) >= times, what, "" if len(found) >= times else self.source, self.frame)

    def lacks(self, hz: float) -> Check:
        """This tone never came, neither alone nor in a mix. EvidenceError where there is too little audio to tell."""
        if self.seconds < WINDOW:
            raise EvidenceError(f"{self.name}: {self.seconds:.3f} s of audio, too little to judge")
        seconds = sum(s.audible and s.share(hz) > LEAKED_SHARE and s.summit(hz) for s in self._spectra()) * HOP
        what = f"{self.name}: {hz:g} Hz for {seconds:.1f} of {self.seconds:.1f} s"
        return Check(seconds < 2 * HOP, what, "" if seconds < 2 * HOP else self.source, self.frame)

    def mixes(self, tones: Sequence[float], *, seconds: float = 0.5) -> Check:
        """All these tones were there at the same time, for `seconds` at least."""
        there = [[s.audible and s.share(hz) >= MIXED_SHARE for hz in tones] for s in self._spectra()]
        together = sum(all(each) for each in there) * HOP
        single = ", ".join(f"{hz:g} Hz {sum(each[n] for each in there) * HOP:.1f} s" for n, hz in enumerate(tones))
        what = f"{self.name}: {' + '.join(f'{hz:g}' for hz in tones)} Hz together for {together:.1f} of {self.seconds:.1f} s ({single})"
        return Check(together >= seconds, what, "" if together >= seconds else self.source, self.frame)

    def dials(self, digits: str) -> Check:
        """Exactly these digits, as sound (ITU-T Q.23)."""
        keys = [next((key for key, pair in KEYPAD.items() if all(s.share(hz) > KEY_SHARE for hz in pair)), "") for s in self._spectra()]
        dialled = "".join(key for key, _ in groupby(keys))
        what = f"{self.name}: dialled {dialled or 'nothing'}, should be {digits}"
        return Check(dialled == digits, what, "" if dialled == digits else self.source, self.frame)

    def melody(self, tones: Sequence[float]) -> Sound:
        """The part in which these tones follow each other, one run each. EvidenceError where they do not."""
        wanted, begun = list(tones), -1.0
        for run in self.runs():
            if wanted and abs(run.hz - wanted[0]) <= tolerance(wanted[0]):
                begun = run.begin if begun < 0 else begun
                wanted.pop(0)
                if not wanted:
                    part = self.samples[round(begun * RATE) : round((run.begin + run.seconds) * RATE)]
                    return Sound(self.source, self.destination, part, self.frame)
        raise EvidenceError(f"{self.name}: {self.holds(wanted[0]).what}: not the melody that was asked for")

    def likeness(self, other: Sound) -> float:
        """The highest normalised cross-correlation of `other` with any part of this that is as long: 1 is the same but for its level."""
        length, total = len(other.samples), len(self.samples)
        if not length or not np.any(other.samples):
            raise EvidenceError(f"{other.name}: silence cannot be compared")
        if total < length:
            return 0.0
        size = 1 << (total + length - 1).bit_length()
        product = np.fft.rfft(self.samples, size) * np.conj(np.fft.rfft(other.samples, size))
        correlation = np.fft.irfft(product, size)[: total - length + 1]
        energy = np.concatenate(([0.0], np.cumsum(self.samples**2)))
        windows = np.sqrt(np.maximum(energy[length:] - energy[:-length], 1e-9))
        return float(np.max(correlation / (windows * np.linalg.norm(other.samples))))

    def plays(self, other: Sound) -> Check:
        """`other` is somewhere in this sound."""
        found = self.likeness(other)
        what = f"{self.name}: correlates by {found:.2f} with {other.seconds:.1f} s of {other.name}, the same sound does by {ALIKE} and more"
        return Check(found >= ALIKE, what, "" if found >= ALIKE else self.source, self.frame)


def _steady(tones: list[int]) -> list[int]:
    """Peaks of one tone that differ by rounding, or by what the next tone added, all under one number."""
    found: list[int] = []
    for hz in tones:
        before = found[-1] if found else 0
        found.append(before if hz and before and abs(hz - before) <= tolerance(before) else hz)
    return found
