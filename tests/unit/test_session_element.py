"""An element's log as it grows, how elements end, and how exceptions become verdicts."""

import threading

import pytest

from lab.agents.step import Outcome, StepFailed
from lab.errors import AgentError, EvidenceError, RuntimeFault
from lab.evidence.check import Check
from lab.runtime.base import ContainerState, ExecResult
from lab.session import element as elements
from lab.session.cells import slug
from lab.session.element import LogTap, how_it_ended, wait_ready
from lab.session.failure import classify, forget
from lab.spec.vendor import Ready


class Source:
    """Output that a test produces as it goes."""

    def __init__(self):
        self.items = []
        self.changed = threading.Condition()

    def put(self, item):
        with self.changed:
            self.items.append(item)
            self.changed.notify_all()

    def chunks(self):
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.items, 10)
                item = self.items.pop(0) if self.items else None
            if item is None:
                return
            if isinstance(item, Exception):
                raise item
            yield item


@pytest.fixture
def source():
    return Source()


@pytest.fixture
def tap(source, tmp_path):
    return LogTap(source.chunks, tmp_path / "logs" / "bob.txt", limit=100)


def test_a_line_is_found_now_and_later(source, tap):
    source.put(b"one\nrea")
    source.put(b"dy 1.1\n")
    assert tap.wait_for(r"^ready \d", 5)
    assert tap.wait_for("one", 5)


def test_waiting_ends_with_the_output_and_with_the_deadline(source, tap):
    assert not tap.wait_for("never", 0.05)
    threading.Timer(0.05, source.put, (None,)).start()
    assert not tap.wait_for("never", 10)
    assert tap.ended.is_set()


def test_a_flood_is_told_once_and_counted_by_the_lap(source, tmp_path):
    told = []
    tap = LogTap(source.chunks, tmp_path / "bob.txt", limit=100, on_flood=told.append)
    for lap in (60, 60, 101, 500):
        source.put(b"x" * lap + b"\n")
        source.put(b"end of %d\n" % lap)
        assert tap.wait_for(f"end of {lap}", 5)
        assert len(told) == (lap > 100)
        if lap < 100:
            tap.lap()
    assert told == ["flooded its output: more than 0.0001 MB of log during one scenario"]


def test_a_flood_is_cut_off_but_its_end_is_seen(source, tap, tmp_path):
    for _ in range(50):
        source.put(b"x" * 60 + b"\n")
    source.put(b"last words\n")
    source.put(None)
    assert tap.ended.wait(5)
    tap.join(5)
    text = (tmp_path / "logs" / "bob.txt").read_text()
    assert len(text) < 200
    assert text.endswith("[siplab: cut off after 100 bytes]\n")
    assert tap.tail(1) == "last words"


def test_the_tail_is_the_last_lines_on_one(source, tap):
    for number in range(9):
        source.put(f"line {number}\n".encode())
    source.put(None)
    tap.ended.wait(5)
    assert tap.tail(2) == "line 7 | line 8"


def test_an_output_that_breaks_off_says_so(source, tap, tmp_path):
    source.put(b"fine\n")
    source.put(RuntimeFault("connection reset"))
    assert tap.ended.wait(5)
    tap.join(5)
    assert tap.broken == "connection reset"
    assert "the log broke off: connection reset" in (tmp_path / "logs" / "bob.txt").read_text()


def test_a_full_disk_is_told_and_not_taken_for_a_quiet_element(source, tmp_path, monkeypatch):
    path = tmp_path / "bob.txt"
    path.symlink_to("/dev/full")
    tap = LogTap(source.chunks, path, limit=100)
    source.put(b"fine\n")
    assert tap.ended.wait(5)
    assert "No space left" in tap.broken
    monkeypatch.setattr(elements, "READY_WITHIN", 0.3)
    with pytest.raises(RuntimeFault, match=r"bob runs, but its output broke off: .*No space left"):
        wait_ready(Engine(1), Bob, "c1", Ready(log="listening"), tap, None)


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (ContainerState(running=True), ""),
        (ContainerState(False, 0), "ended with exit code 0"),
        (ContainerState(False, 1), "ended with exit code 1"),
        (ContainerState(False, 128), "ended with exit code 128"),
        (ContainerState(False, 139), "died by signal 11 (SIGSEGV)"),
        (ContainerState(False, 137, oom_killed=True, memory_mb=64), "was killed: memory limit of 64 MB"),
        (ContainerState(False, 192), "died by signal 64 (SIGRTMAX)"),
        (ContainerState(False, 178), "died by signal 50"),
        (ContainerState(False, 255), "ended with exit code 255"),
    ],
)
def test_how_it_ended(state, text):
    assert how_it_ended(state) == text


RUNNING = ContainerState(running=True)


class Engine:
    """Answers probes with these exit codes, the last one for ever."""

    def __init__(self, *codes, state=RUNNING):
        self.codes = list(codes)
        self.now = state
        self.asked = 0

    def exec(self, handle, argv):
        self.asked += 1
        return ExecResult(self.codes.pop(0) if len(self.codes) > 1 else self.codes[0], b"", b"")

    def state(self, handle):
        if isinstance(self.now, Exception):
            raise self.now
        return self.now


class Bob:
    name, vendor, flavour = "bob", "acme", "1.1"


def test_a_probe_is_repeated_until_it_succeeds(tap):
    engine = Engine(1, 1, 0)
    wait_ready(engine, Bob, "c1", Ready(exec=("true",)), tap, None)
    assert engine.asked == 3


@pytest.mark.parametrize("ready", [Ready(exec=("false",)), Ready(log="listening")])
def test_what_is_not_ready_in_time_brings_its_last_words(source, tap, monkeypatch, ready):
    monkeypatch.setattr(elements, "READY_WITHIN", 0.3)
    source.put(b"cannot bind 5060\n")
    with pytest.raises(AgentError, match=r"bob \(acme@1.1\): not ready within 0.3 s; last log lines: cannot bind 5060") as caught:
        wait_ready(Engine(1), Bob, "c1", ready, tap, None)
    assert (caught.value.element, caught.value.code) == ("bob", "fault")


@pytest.mark.parametrize("ready", [Ready(exec=("false",)), Ready(log="listening")])
def test_what_has_ended_is_not_waited_for(source, tap, ready):
    source.put(None)
    with pytest.raises(AgentError, match=r"bob .*: died by signal 6 \(SIGABRT\); last log lines: none"):
        wait_ready(Engine(1, state=ContainerState(False, 134)), Bob, "c1", ready, tap, None)


def test_an_engine_that_is_gone_is_not_the_vendors_fault(source, tap):
    def hello():
        raise AgentError("bob: hello: the agent's output broke", element="bob")

    with pytest.raises(RuntimeFault, match="engine gone"):
        wait_ready(Engine(1, state=RuntimeFault("engine gone")), Bob, "c1", Ready(agent=True), tap, hello)


# -- exceptions ----------------------------------------------------------------------------------------------------------------------------


def assertion(expression):
    forget()
    try:
        assert expression, str(expression)
    except AssertionError as error:
        return classify(error)


def test_an_assertion_is_traced_to_what_turned_out_false():
    failure = assertion(Outcome(False, "408", "alice", "call", trace="INVITE"))
    assert (failure.kind, failure.element, failure.step, failure.trace) == ("step", "alice", "call", "INVITE")
    failure = assertion(Check(False, "in clear", "pb", 12))
    assert (failure.kind, failure.element, failure.frame) == ("check", "pb", 12)
    failure = assertion([])
    assert (failure.kind, failure.element, failure.step) == ("check", "", "assertion")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (StepFailed("x", element="bob", step="answer"), "step"),
        (AgentError("x", element="bob"), "element"),
        (EvidenceError("x"), "lab"),
        (RuntimeFault("x"), "lab"),
        (KeyError("x"), "scenario"),
        (TimeoutError("x"), "scenario"),
        (pytest.skip.Exception("x"), "scenario"),
    ],
)
def test_every_exception_has_a_kind(error, kind):
    assert classify(error).kind == kind


@pytest.mark.parametrize(("name", "folder"), [("call[udp+rtp]", "call_udp+rtp"), ("../../x", ".._.._x"), ("a b/ü", "a_b")])
def test_a_scenarios_name_is_a_folder_name(name, folder):
    assert slug(name) == folder
