"""Audio as evidence: does a recording hold the tone that the other side played?"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lab.errors import EvidenceError

Samples = npt.NDArray[np.float64]

_WINDOW_SECONDS = 0.1
_HOP_SECONDS = 0.05
_QUIET_DBFS = -50.0
_PURE = 0.5
_OTHER_SHARE = 0.05
_PCM, _ALAW, _ULAW, _EXTENSIBLE = 1, 6, 7, 0xFFFE


@dataclass(frozen=True)
class ToneReport:
    """Truthy where the tone was heard long enough, pure enough and alone.

    `dominant_hz` and `level_dbfs` are medians over the audible windows (0 and -120 where all is silence), `seconds` is how long the tone
    was there, `purity` its share of the energy meanwhile, `others` the foreign tones that were heard, with their seconds.
    """

    ok: bool
    what: str
    tone_hz: float
    dominant_hz: float
    level_dbfs: float
    seconds: float
    total_seconds: float
    purity: float
    others: tuple[tuple[float, float], ...] = ()

    def __bool__(self) -> bool:
        return self.ok

    def __repr__(self) -> str:
        return f"<{'heard' if self.ok else 'NOT heard'}: {self.what}>"


def hears(wav: bytes, tone_hz: float, *, min_seconds: float = 0.5, others: Iterable[float] = ()) -> ToneReport:
    """Judge a recording. Silence is a falsy report; a recording that is empty or no WAV is an EvidenceError."""
    samples, rate = read_wav(wav)
    window = int(rate * _WINDOW_SECONDS)
    if len(samples) < window:
        raise EvidenceError(f"the recording holds {len(samples) / rate:.3f} s of audio, too little to judge")
    starts = range(0, len(samples) - window + 1, int(rate * _HOP_SECONDS))
    spectra = [Spectrum(samples[start : start + window], rate) for start in starts]
    audible = [spectrum for spectrum in spectra if spectrum.audible]
    with_tone = [s for s in audible if abs(s.peak - tone_hz) <= tolerance(tone_hz) and s.share(tone_hz) >= _PURE]
    seconds = len(with_tone) * _HOP_SECONDS
    foreign = tuple(
        (hz, n * _HOP_SECONDS) for hz in others if hz != tone_hz and (n := sum(s.share(hz) > _OTHER_SHARE for s in audible)) > 1
    )
    dominant = float(np.median([s.peak for s in audible])) if audible else 0.0
    level = float(np.median([s.level for s in audible])) if audible else -120.0
    purity = float(np.median([s.share(tone_hz) for s in with_tone])) if with_tone else 0.0
    ok = seconds >= min_seconds and not foreign
    what = _words(tone_hz, seconds, len(samples) / rate, dominant, level, foreign)
    return ToneReport(ok, what, tone_hz, dominant, level, seconds, len(samples) / rate, purity, foreign)


def lingers(wav: bytes, tone_hz: float, *, others: Iterable[float] = ()) -> float:
    """For how many seconds a tone is in a recording, alone or beside `others`: half of what they leave of the energy is its own."""
    samples, rate = read_wav(wav)
    strangers, window = [hz for hz in others if hz != tone_hz], int(rate * _WINDOW_SECONDS)
    starts = range(0, len(samples) - window + 1, int(rate * _HOP_SECONDS))
    audible = [s for s in (Spectrum(samples[start : start + window], rate) for start in starts) if s.audible]
    return _HOP_SECONDS * sum(s.share(tone_hz) >= max(_OTHER_SHARE, _PURE * (1 - sum(map(s.share, strangers)))) for s in audible)


def seconds_of(samples: Samples, rate: int, tone_hz: float) -> float:
    """For how long a tone is there, alone or nearly so."""
    window = int(rate * _WINDOW_SECONDS)
    spectra = [Spectrum(samples[start : start + window], rate) for start in range(0, len(samples) - window + 1, window)]
    return sum(s.level > _QUIET_DBFS and s.share(tone_hz) >= _PURE for s in spectra) * _WINDOW_SECONDS


def _words(tone: float, seconds: float, total: float, dominant: float, level: float, foreign: tuple[tuple[float, float], ...]) -> str:
    strangers = "".join(f", and {hz:g} Hz for {length:.1f} s" for hz, length in foreign)
    heard = f"mostly {dominant:.0f} Hz at {level:.0f} dBFS" if dominant else "silence"
    return f"{tone:g} Hz for {seconds:.1f} of {total:.1f} s ({heard}){strangers}"


def tolerance(tone_hz: float) -> float:
    """Hz by which the peak of a window may be off its tone."""
    return max(12.0, 0.02 * tone_hz)


class Spectrum:
    """One window: `level` in dBFS (a full-scale sine is -3), `peak` in Hz."""

    def __init__(self, samples: Samples, rate: int) -> None:
        centred = samples - samples.mean()
        self.level = 20 * math.log10(max(float(np.sqrt(np.mean(centred**2))), 1e-6))
        padded = 4 * len(samples)
        self._power = np.abs(np.fft.rfft(centred * np.hanning(len(samples)), padded)) ** 2
        self._step = rate / padded
        self.peak = float(np.argmax(self._power)) * self._step

    @property
    def audible(self) -> bool:
        """Louder than the noise of coding."""
        return self.level > _QUIET_DBFS

    def summit(self, hz: float) -> bool:
        """The energy around `hz` is a tone's own and not the skirt of a neighbour's: the highest point is close to it."""
        low, high = int((hz - 2 * tolerance(hz)) / self._step), int((hz + 2 * tolerance(hz)) / self._step) + 1
        return abs((low + int(np.argmax(self._power[low:high]))) * self._step - hz) <= tolerance(hz)

    def share(self, hz: float) -> float:
        """Part of the energy within a Hann window's main lobe around `hz`."""
        width = 2.2 / _WINDOW_SECONDS
        low, high = max(0, int((hz - width) / self._step)), int((hz + width) / self._step) + 1
        return float(self._power[low:high].sum() / max(float(self._power.sum()), 1e-12))


def read_wav(wav: bytes) -> tuple[Samples, int]:
    """Samples (-1 … 1, first channel) and rate. Lenient with lengths: a recorder that was killed leaves zeros or too much in its header."""
    if wav[:4] != b"RIFF" or wav[8:12] != b"WAVE":
        raise EvidenceError(f"the recording is no WAV file ({len(wav)} bytes, begins with {wav[:4]!r})")
    chunks = _chunks(wav)
    form = chunks.get(b"fmt ", b"")
    if len(form) < 16 or b"data" not in chunks:
        raise EvidenceError("the recording has no format or no data chunk")
    code, channels, rate = (int.from_bytes(form[a:b], "little") for a, b in ((0, 2), (2, 4), (4, 8)))
    bits = int.from_bytes(form[14:16], "little")
    samples = _decode(chunks[b"data"], int.from_bytes(form[24:26], "little") if code == _EXTENSIBLE else code, bits)
    if not len(samples) or not rate or not channels:
        raise EvidenceError("the recording holds no sample")
    return samples[:: max(1, channels)], rate


def _chunks(wav: bytes) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    position = 12
    while position + 8 <= len(wav):
        name, length = wav[position : position + 4], int.from_bytes(wav[position + 4 : position + 8], "little")
        if name == b"data":
            length = length or len(wav)
        found.setdefault(name, wav[position + 8 : position + 8 + length])
        position += 8 + length + length % 2
    return found


def _decode(data: bytes, code: int, bits: int) -> Samples:
    if code == _PCM and bits == 16:
        return np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.float64) / 32768
    if code in (_ALAW, _ULAW) and bits == 8:
        return decode_g711(data, alaw=code == _ALAW)
    raise EvidenceError(f"the recording's format is not known (code {code}, {bits} bits)")


def decode_g711(data: bytes, *, alaw: bool) -> Samples:
    """G.711 to -1 … 1 (ITU-T G.711 tables 1 and 2)."""
    code = np.frombuffer(data, np.uint8).astype(np.int32)
    code = code ^ 0x55 if alaw else ~code & 0xFF
    exponent, mantissa = (code >> 4) & 7, code & 0x0F
    if alaw:
        size = np.where(exponent == 0, (mantissa << 4) + 8, ((mantissa << 4) + 0x108) << np.maximum(exponent - 1, 0))
        sign = np.where(code & 0x80, 1, -1)
    else:
        size = (((mantissa << 3) + 0x84) << exponent) - 0x84
        sign = np.where(code & 0x80, -1, 1)
    return (sign * size).astype(np.float64) / 32768
