"""Audio helpers of the agent library and the cutting of recordings out of growing files."""

from __future__ import annotations

import importlib
import os
import queue
import sys
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

LIBRARY = Path(__file__).parents[2] / "images/shared/agent"


@pytest.fixture(scope="module")
def library() -> Iterator[ModuleType]:
    sys.path.insert(0, str(LIBRARY))
    yield importlib.import_module("siplab_agent")
    sys.path.remove(str(LIBRARY))


def samples(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 8000)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def test_mu_law_round_trip_is_within_its_quantisation(library: ModuleType) -> None:
    pcm = np.arange(-32000, 32000, 7, dtype="<i2")
    back = np.frombuffer(library.pcmu_decode(library.pcmu_encode(pcm.tobytes())), "<i2")
    error = np.abs(back.astype(int) - pcm.astype(int))
    assert (error <= np.maximum(np.abs(pcm.astype(int)) / 16, 8)).all()


def test_mu_law_known_values(library: ModuleType) -> None:
    """G.711: silence is 0xFF, full scale 0x80 and 0x00."""
    assert library.pcmu_encode(np.array([0, 32767, -32768], dtype="<i2").tobytes()) == b"\xff\x80\x00"
    assert library.pcmu_decode(b"\xff\x7f") == b"\0\0\0\0"


def test_tone_file_loops_without_a_click(library: ModuleType, tmp_path: Path) -> None:
    tone = samples(Path(library.tone_wav(str(tmp_path / "t.wav"), 440)))
    twice = np.concatenate([tone, tone]).astype(float)
    spectrum = np.abs(np.fft.rfft(twice)) ** 2
    assert len(tone) == 8000
    assert spectrum.argmax() == 880
    assert spectrum[880] / spectrum.sum() > 0.9999


def test_recorder_cuts_exact_lengths(library: ModuleType, tmp_path: Path) -> None:
    recorder, done = library.PcmRecorder(), queue.SimpleQueue()
    recorder.feed(b"\1\1" * 100)
    recorder.start(str(tmp_path / "a.wav"), 0.1, lambda path, seconds: done.put(seconds))
    for _ in range(6):
        recorder.feed(b"\2\2" * 160)
    assert done.get_nowait() == 0.1
    assert set(samples(tmp_path / "a.wav")) == {0x0202}
    recorder.start(str(tmp_path / "b.wav"), 1, lambda path, seconds: done.put(seconds))
    recorder.feed(b"\3\3" * 800)
    recorder.close()
    assert done.get_nowait() == 0.1


def grow(path: Path, value: int, count: int, mode: str = "ab") -> None:
    with path.open(mode) as file:
        if mode == "wb":
            file.write(b"h" * 44)
        file.write(bytes([value, 0]) * count)


def recording(library: ModuleType, source: Path, seconds: float) -> tuple[Any, queue.SimpleQueue[float]]:
    """A slicer of this file that records out.wav beside it, and the queue that is told how long that has become."""
    done: queue.SimpleQueue[float] = queue.SimpleQueue()
    slicer = library.WavSlicer(str(source))
    slicer.record(str(source.with_name("out.wav")), seconds, lambda path, seconds: done.put(seconds))
    return slicer, done


def test_slicer_takes_what_comes_from_now_on(library: ModuleType, tmp_path: Path) -> None:
    source, done = tmp_path / "rx.wav", queue.SimpleQueue()
    slicer = library.WavSlicer(str(source))
    grow(source, 1, 800, "wb")
    slicer.record(str(tmp_path / "out.wav"), 0.2, lambda path, seconds: done.put(seconds))
    grow(source, 2, 800)
    grow(source, 3, 801)
    assert done.get(timeout=10) == 0.2
    assert list(np.unique(samples(tmp_path / "out.wav"), return_counts=True)[1]) == [800, 800]
    slicer.close()


def test_slicer_survives_truncation(library: ModuleType, tmp_path: Path) -> None:
    source = tmp_path / "rx.wav"
    grow(source, 1, 1000, "wb")
    slicer, done = recording(library, source, 0.15)
    grow(source, 2, 400)
    deadline = time.monotonic() + 2
    while slicer._seen[1] != 44 + 2800 and time.monotonic() < deadline:
        time.sleep(0.01)
    grow(source, 3, 900, "wb")
    assert done.get(timeout=10) == 0.15
    assert list(np.unique(samples(tmp_path / "out.wav"), return_counts=True)[1]) == [400, 800]
    slicer.close()


def test_slicer_finishes_with_what_there_is_and_closes_at_once(library: ModuleType, tmp_path: Path) -> None:
    source = tmp_path / "rx.wav"
    grow(source, 1, 10, "wb")
    slicer, done = recording(library, source, 5)
    grow(source, 2, 160)
    slicer.finish()
    assert done.get(timeout=10) == 0.02
    begun = time.monotonic()
    slicer.close()
    assert time.monotonic() - begun < 2


def test_a_folder_that_is_watched_no_more_can_still_be_woken(library: ModuleType, tmp_path: Path) -> None:
    """The follower closes it in a thread of its own, maybe between another's decision to wake it and the waking: descriptors are reused."""
    watch = importlib.import_module("siplab_agent.slicer").FileWatch(str(tmp_path))
    watch.close()
    others = os.pipe()
    watch.wake()
    watch.close()
    os.set_blocking(others[0], False)
    with pytest.raises(BlockingIOError):
        os.read(others[0], 1)
    for descriptor in others:
        os.close(descriptor)
