"""Sounds on a wire: what is a tone, a mix, an echo, a digit, and what is the same audio again."""

from __future__ import annotations

import io
import wave

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.errors import EvidenceError
from lab.evidence.audio import decode_g711, lingers
from lab.evidence.sound import RATE, Sound
from lab.session.lab import TOLERATED, mixed
from lab.sip import g711

Samples = npt.NDArray[np.float64]


def tone(hz: float, seconds: float, level: float = 0.3) -> Samples:
    return level * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)


def coded(samples: Samples) -> Samples:
    pcm = np.clip(np.round(samples * 32768), -32768, 32767).astype("<i2").tobytes()
    return decode_g711(g711.encode("PCMU/8000", pcm), alaw=False)


def sound(*parts: Samples) -> Sound:
    return Sound("vm", "alice", coded(np.concatenate(parts)), 7)


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE))


MELODY = (1140, 700, 1440)
LEFT = (tone(440, 0.4), tone(1140, 0.7), tone(700, 0.9), tone(1440, 0.6))


def test_runs_are_told_in_order() -> None:
    heard = sound(silence(0.5), tone(2240, 2.0), tone(1820, 0.5), silence(0.4), tone(440, 0.2))
    assert [(run.hz // 10, round(run.seconds)) for run in heard.runs()] == [(224, 2), (182, 0)]
    assert heard.holds(2240)
    assert not heard.holds(2240, times=2)
    assert heard.holds(620).blame == "vm"


def test_a_tone_that_came_twice() -> None:
    assert sound(tone(1920, 0.5), silence(0.3), tone(1920, 0.5)).holds(1920, times=2)


def test_a_mix_and_an_echo() -> None:
    mix = sound(tone(880, 1.0, 0.25) + tone(620, 1.0, 0.2))
    assert mix.mixes((880, 620))
    assert mix.lacks(440)
    assert not mix.mixes((880, 440))
    assert not sound(tone(880, 0.5), tone(620, 0.5)).mixes((880, 620))
    assert not sound(tone(880, 1.0, 0.25) + tone(620, 1.0, 0.2) + tone(440, 1.0, 0.1)).lacks(440)


def test_a_neighbour_is_no_echo() -> None:
    assert sound(tone(540, 2.0) + tone(620, 2.0)).lacks(440)


def test_the_same_audio_is_found_again() -> None:
    left = sound(*LEFT)
    part = left.melody(MELODY)
    assert 2.0 < part.seconds < 2.4
    again = sound(silence(1.0), tone(2360, 1.0), *(0.5 * piece for piece in LEFT), silence(0.5))
    assert again.plays(part)
    assert again.likeness(part) > 0.97


@pytest.mark.parametrize(
    "other",
    [
        (tone(1140, 3.0),),
        (tone(1140, 0.7), tone(700, 0.4), tone(1440, 1.1)),
        (tone(1440, 0.6), tone(700, 0.9), tone(1140, 0.7)),
        (silence(1.0), tone(440, 3.0)),
        (tone(1140, 0.5),),
    ],
)
def test_other_audio_is_not(other: tuple[Samples, ...]) -> None:
    part = sound(*LEFT).melody(MELODY)
    played = sound(*other, silence(0.2))
    assert not played.plays(part)
    assert played.plays(part).blame == "vm"


@settings(max_examples=25)
@given(st.floats(0.2, 1.0), st.integers(0, 4000))
def test_level_and_place_do_not_matter(level: float, lag: int) -> None:
    part = Sound("alice", "vm", np.concatenate(LEFT)).melody(MELODY)
    assert Sound("vm", "bob", np.concatenate((np.zeros(lag), level * part.samples, np.zeros(50)))).likeness(part) == pytest.approx(
        1, abs=1e-6
    )


def wav(*parts: Samples) -> bytes:
    """A recording of these, one after the other."""
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes((32767 * np.concatenate(parts)).astype("<i2").tobytes())
    return made.getvalue()


def chord(*tones: float) -> bytes:
    """A recording of these together."""
    return wav(np.sum([tone(hz, 0.8, 0.2) for hz in tones], axis=0))


def test_a_recording_of_a_mix() -> None:
    assert mixed(chord(880, 620), (880, 620), 440, 0.8)[0]
    assert mixed(chord(880), (880, 620), 440, 0.8)[0] is False
    ok, what = mixed(chord(880, 620, 440), (880, 620), 440, 0.8)
    assert (ok, what[:22]) == (False, "hears its own tone: mi")


def test_a_tone_lingers_beside_those_that_are_known() -> None:
    both = wav(tone(440, 0.8, 0.1) + tone(880, 0.8, 0.3))
    assert lingers(both, 440, others=(440, 880)) > 0.5
    assert lingers(both, 440) == 0  # beside something that is no tone of the lab's
    assert lingers(wav(tone(440, 0.4), tone(880, 0.4)), 440, others=(440, 880)) > 0.3
    assert lingers(wav(tone(880, 0.8)), 440, others=(440, 880)) == 0
    assert lingers(wav(silence(0.8)), 440) == 0
    assert lingers(wav(tone(440, 0.04), silence(0.76)), 440) < TOLERATED


def test_digits_as_sound() -> None:
    def key(low: int, high: int) -> Samples:
        return tone(low, 0.12) + tone(high, 0.12)

    heard = sound(tone(440, 0.5), key(770, 1336), silence(0.12), key(941, 1477), silence(0.12), key(697, 1209), tone(440, 0.3))
    assert heard.dials("5#1")
    assert heard.dials("51").what.startswith("vm → alice: dialled 5#1")
    assert not sound(tone(440, 1.0)).dials("5")


def test_nothing_to_compare_is_an_error() -> None:
    with pytest.raises(EvidenceError, match="silence cannot be compared"):
        sound(tone(440, 1.0)).likeness(Sound("alice", "vm", silence(0.5)))
    for seconds in (0.0, 0.05):
        with pytest.raises(EvidenceError, match="too little to judge"):
            Sound("vm", "alice", tone(440, seconds)).lacks(440)
    with pytest.raises(EvidenceError, match="not the melody"):
        sound(tone(1140, 1.0)).melody(MELODY)
