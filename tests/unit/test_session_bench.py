"""A lab going up and down on an engine that fails where it is told to: nothing is left behind, and the error says who and why."""

import json
from typing import ClassVar

import pytest
from session_fixtures import project_with_helper

from lab.errors import AgentError, EvidenceError, ImageError, LabError, RuntimeFault
from lab.plan.binding import pairings, parse_bindings
from lab.runtime.fake import Exit, FakeImage, FakeRuntime
from lab.session import bench as benches
from lab.session import ground
from lab.session.bench import Bench, Setup
from lab.spec.catalog import load_topology, vendors
from lab.spec.vendor import Ready

ALL = {"siplab": "1"}


def agent(line):
    """A vendor that keeps the contract."""
    request = json.loads(line)
    result = {"contract": 1, "vendor": "acme", "version": "1.1.0"} if request["method"] == "hello" else {}
    yield json.dumps({"id": request["id"], "result": result}).encode()


def agent_dies(line):
    raise Exit(139)
    yield b""


def agent_of_tomorrow(line):
    yield json.dumps({"id": json.loads(line)["id"], "result": {"contract": 2}}).encode()


def agent_prints(line):
    yield b"Hello, I am a banner"


GOOD = FakeImage(respond=agent, errors=(b"starting", b"ready"))
IMAGES = {"acme": GOOD, "initech": GOOD, "globex": GOOD, "names": GOOD, "helper": FakeImage()}


class StubCapture:
    """A capture of nothing."""

    starts: ClassVar[list[Exception]] = []
    stops: ClassVar[list[Exception]] = []
    dropped = 0

    def __init__(self, *arguments, on_flood):
        self.on_flood = on_flood

    def lap(self):
        pass

    def start(self):
        if self.starts:
            raise self.starts.pop(0)

    def stop(self):
        if self.stops:
            raise self.stops.pop(0)


class StubWatchdog:
    """Notes whether it was dismissed."""

    made: ClassVar[list["StubWatchdog"]] = []

    def __init__(self, lab):
        self.dismissed = False
        self.made.append(self)

    def dismiss(self):
        self.dismissed = True


@pytest.fixture
def make(tmp_path, monkeypatch):
    """A bench over these images, with an engine of its own."""
    project_with_helper(tmp_path)
    known = vendors(tmp_path)
    topology = load_topology("pair", tmp_path)
    (binding,) = pairings(topology, parse_bindings(["bob=initech"], topology, known), known)
    monkeypatch.setattr(benches, "Watchdog", StubWatchdog)
    monkeypatch.setattr(benches, "Capture", StubCapture)
    monkeypatch.setattr(ground, "seal", lambda *_: None)
    monkeypatch.setattr(ground, "verify_sealed", lambda *_: type("Proof", (), {"bridges": ("b",), "probed": ()}))
    monkeypatch.setattr(StubCapture, "starts", [])
    monkeypatch.setattr(StubCapture, "stops", [])
    monkeypatch.setattr(StubWatchdog, "made", [])

    def made(**images):
        tags = {(name, flavour): name for name, vendor in known.items() for flavour in vendor.flavours}
        setup = Setup(tmp_path, topology, binding, known, tags, tmp_path / "pairing", run="r1")
        return Bench(setup, FakeRuntime({**IMAGES, **images}))

    return made


def about(bench):
    return json.loads((bench.setup.folder / "pairing.json").read_text())


def nothing_left(bench):
    return bench.runtime.inventory(ALL) == [] and all(dog.dismissed for dog in StubWatchdog.made)


def test_up_and_down(make):
    bench = make()
    bench.up()
    assert {item.name.rpartition("-")[2] for item in bench.runtime.inventory(ALL)} == {
        *("alice", "bob", "pa", "pb", "dns", "helper", "keys", "internet"),
    }
    assert bench.dead() == {}
    bench.pulse()
    bench.down()
    assert nothing_left(bench)
    told = about(bench)
    assert told["versions"]["alice"] == "acme 1.1.0"
    assert told["binding"]["pb"] == "globex@2.0"
    assert told["problems"] == {}
    assert told["ended_early"] == {}
    assert {"up_seconds", "down_seconds", "subnets", "images"} <= set(told)
    folder = bench.setup.folder
    assert "starting\nready\n" in (folder / "logs" / "alice.txt").read_text()
    assert json.loads((folder / "plan.json").read_text())
    assert list((folder / "rendered" / "alice").rglob("*.pem"))
    assert not list(folder.rglob("*.key")), "private keys are no evidence"


@pytest.mark.parametrize("method", ["create", "put", "attach", "start", "follow_logs"])
@pytest.mark.parametrize("vendor", ["initech", "names"])
def test_an_engine_that_fails_at_any_stage_leaves_nothing(make, method, vendor):
    bench = make(**{vendor: FakeImage(respond=agent, fails={method: "no space left"})})
    with pytest.raises(RuntimeFault, match="no space left"):
        bench.up()
    assert nothing_left(bench)
    assert "no space left" in about(bench)["error"]


@pytest.mark.parametrize("method", ["create", "start"])
def test_a_helper_that_cannot_run_leaves_nothing(make, method):
    bench = make(helper=FakeImage(fails={method: "not permitted"}))
    with pytest.raises(RuntimeFault, match="not permitted"):
        bench.up()
    assert nothing_left(bench)


@pytest.mark.parametrize("stage", ["seal", "verify_sealed", "render", "make_plan", "lease_networks"])
def test_every_other_stage_too(make, monkeypatch, stage):
    def fails(*_, **__):
        raise RuntimeFault(f"{stage} failed")

    monkeypatch.setattr(ground if hasattr(ground, stage) else benches, stage, fails)
    bench = make()
    with pytest.raises(RuntimeFault, match=f"{stage} failed"):
        bench.up()
    assert nothing_left(bench)


def test_a_capture_that_does_not_start_leaves_nothing(make):
    StubCapture.starts.append(EvidenceError("marker frame was not seen"))
    bench = make()
    with pytest.raises(EvidenceError, match="marker frame"):
        bench.up()
    assert nothing_left(bench)


def test_an_image_that_is_missing_leaves_nothing(make):
    bench = make()
    del bench.runtime.images["initech"]
    with pytest.raises(ImageError, match="not on the engine"):
        bench.up()
    assert nothing_left(bench)


def test_ctrl_c_while_going_up_leaves_nothing(make, monkeypatch):
    def press(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(benches, "render", press)
    bench = make()
    with pytest.raises(KeyboardInterrupt):
        bench.up()
    assert nothing_left(bench)


@pytest.mark.parametrize(
    ("image", "what"),
    [
        (
            FakeImage(respond=agent_dies, errors=(b"loading", b"Segmentation fault")),
            "died by signal 11 (SIGSEGV); last log lines: loading | Segmentation",
        ),
        (FakeImage(respond=agent, dies=1, greeting=(b"no such option",)), "ended with exit code 1; last log lines: no such option"),
        (FakeImage(respond=agent_of_tomorrow), "speaks contract 2, the lab speaks 1"),
        (FakeImage(respond=agent_prints), "not protocol on its output: b'Hello, I am a banner'"),
    ],
)
def test_an_element_that_cannot_start_is_its_vendors_fault(make, image, what):
    bench = make(initech=image)
    with pytest.raises(AgentError) as caught:
        bench.up()
    assert caught.value.element == "bob"
    assert what in str(caught.value)
    assert "bob (initech@1.1)" in str(caught.value)
    assert nothing_left(bench)


# -- while it runs, and down -------------------------------------------------------------------------------------------------------------


def test_a_death_is_noticed_and_kept(make):
    bench = make()
    bench.up()
    bench.runtime.kill(bench.handles["bob"])
    bench._logs["bob"].ended.wait(5)
    assert bench.dead() == {"bob": "died by signal 9 (SIGKILL)"}
    bench.down()
    assert about(bench)["ended_early"] == {"bob": "died by signal 9 (SIGKILL)"}
    assert nothing_left(bench)


def test_what_a_scenario_stops_is_no_death(make):
    bench = make()
    bench.up()
    bench.stop("pb")
    assert bench.dead() == {}
    assert not bench.runtime.state(bench.handles["pb"]).running
    bench.down()
    told = about(bench)
    assert (told["ended_early"], told["stopped"], told["problems"]) == ({}, ["pb"], {})
    assert nothing_left(bench)


def test_who_ended_by_itself_cannot_be_stopped(make):
    bench = make()
    bench.up()
    bench.runtime.kill(bench.handles["bob"], "SIGABRT")
    bench._logs["bob"].ended.wait(5)
    with pytest.raises(AgentError, match=r"bob died by signal 6 .*, before the scenario stopped it") as caught:
        bench.stop("bob")
    assert caught.value.element == "bob"
    assert list(bench.dead()) == ["bob"]
    bench.down()


def test_who_does_not_end_is_the_labs_fault(make, monkeypatch):
    bench = make()
    bench.up()
    monkeypatch.setattr("lab.session.bench.STOPPED_WITHIN", 0.05)
    monkeypatch.setattr(bench.runtime, "kill", lambda *_: None)
    with pytest.raises(LabError, match=r"pb still runs 0\.05 s after it was killed"):
        bench.stop("pb")
    monkeypatch.undo()
    bench.down()


def with_server(make):
    """A lab whose proxies have no agent: ready by a line."""
    bench = make()
    bench.setup.vendors["globex"] = bench.setup.vendors["globex"].model_copy(update={"ready": Ready(log="^ready")})
    bench.up()
    return bench


def proven(bench, monkeypatch):
    """What the seal is asked from now on."""
    asked = []
    monkeypatch.setattr(benches, "verify_sealed", lambda *arguments: asked.append(arguments[2]))
    return asked


def test_what_a_scenario_stops_can_be_started_again(make, monkeypatch):
    bench = with_server(make)
    seals, first = proven(bench, monkeypatch), bench.runtime.by_name("-pb")
    bench.stop("pb")
    bench.start("pb")
    second = bench.runtime.by_name("-pb")
    assert (second.spec, second.files) == (first.spec, first.files)
    assert bench.handles["pb"] == second.handle != first.handle
    assert first.handle not in bench.runtime.containers
    assert (second.state.running, bench.dead(), seals) == (True, {}, [bench._leases])
    assert bench.stopped, "the next scenario gets a fresh lab"
    bench.servers["pb"].run(["true"])
    bench.runtime.kill(second.handle, "SIGABRT")
    bench._logs["pb"].ended.wait(5)
    assert list(bench.dead()) == ["pb"]
    bench.down()
    told, logs = about(bench), bench.setup.folder / "logs"
    assert (told["stopped"], told["started"], list(told["ended_early"])) == (["pb"], {"pb": 2}, ["pb"])
    assert (logs / "pb.txt").read_text() == (logs / "pb-2.txt").read_text() == "starting\nready\n"
    assert nothing_left(bench)


def test_who_was_started_again_can_be_stopped_again(make, monkeypatch):
    bench = with_server(make)
    proven(bench, monkeypatch)
    for _ in range(2):
        bench.stop("pb")
        with pytest.raises(ValueError, match="pb is stopped already"):
            bench.stop("pb")
        bench.start("pb")
    assert bench.dead() == {}
    bench.down()
    assert (about(bench)["started"], about(bench)["problems"]) == ({"pb": 3}, {})


@pytest.mark.parametrize(
    ("name", "error", "what"),
    [
        ("pb", ValueError, "pb is not stopped: only what lab.stop"),
        ("pz", KeyError, "pz"),
        ("bob", ValueError, "bob has an agent, .*: only servers can be started again"),
    ],
)
def test_what_cannot_be_started(make, name, error, what):
    bench = with_server(make)
    if name == "bob":
        bench.stop("bob")
    with pytest.raises(error, match=what):
        bench.start(name)
    bench.down()


@pytest.mark.parametrize(
    ("image", "what"),
    [
        (FakeImage(errors=(b"starting", b"port in use")), r"not ready within 0\.2 s; last log lines: starting \| port in use"),
        (FakeImage(errors=(b"no licence",), dies=1), "ended with exit code 1; last log lines: no licence"),
    ],
)
def test_who_does_not_come_back_is_its_vendors_fault(make, monkeypatch, image, what):
    bench = with_server(make)
    bench.stop("pb")
    monkeypatch.setattr("lab.session.element.READY_WITHIN", 0.2)
    bench.runtime.images["globex"] = image
    with pytest.raises(AgentError, match=what) as caught:
        bench.start("pb")
    assert caught.value.element == "pb"
    assert list(bench.dead()) == (["pb"] if image.dies else [])
    bench.down()
    assert nothing_left(bench)


@pytest.mark.parametrize("method", ["create", "put", "start", "follow_logs"])
def test_an_engine_that_does_not_bring_an_element_back_is_the_labs_fault(make, method):
    bench = with_server(make)
    bench.stop("pb")
    bench.runtime.images["globex"] = FakeImage(respond=agent, errors=(b"ready",), fails={method: "no space left"})
    with pytest.raises(RuntimeFault, match="no space left"):
        bench.start("pb")
    bench.down()
    assert nothing_left(bench)


def test_a_seal_that_opened_is_noticed_at_a_start(make, monkeypatch):
    def opened(*_):
        raise RuntimeFault("not sealed: the host has 198.18.0.1")

    bench = with_server(make)
    bench.stop("pb")
    monkeypatch.setattr(benches, "verify_sealed", opened)
    with pytest.raises(RuntimeFault, match="not sealed"):
        bench.start("pb")
    bench.down()


def test_an_output_that_breaks_off_is_the_labs_fault(make):
    bench = make()
    bench.up()
    log = bench._logs["bob"]
    log.broken = "connection reset"
    log.ended.set()
    with pytest.raises(RuntimeFault, match="bob runs, but its output broke off: connection reset"):
        bench.dead()
    bench.down()
    assert nothing_left(bench)
    assert "broke off" in about(bench)["problems"]["deaths"]


def test_a_lost_way_to_an_agent_is_the_labs_fault(make):
    bench = make()
    bench.up()
    agent = bench.agents["bob"]
    agent.broken = "connection to the engine lost"
    agent._end("the agent's output broke")
    with pytest.raises(RuntimeFault, match="bob runs, but its output broke off: connection to the engine lost"):
        bench.dead()
    bench.down()


def test_what_a_lab_says_of_itself_is_never_half_there(make):
    bench = make()
    bench.up()
    with (bench.setup.folder / "pairing.json").open() as reader:
        bench.down()
        assert "down_seconds" not in json.load(reader)
    assert "down_seconds" in about(bench)
    assert not list(bench.setup.folder.glob(".pairing*"))


def test_a_helper_that_ended_is_noticed(make):
    bench = make()
    bench.up()
    bench.runtime.kill(bench._helper)
    with pytest.raises(LabError, match="helper container has ended"):
        bench.pulse()
    bench.down()


def test_evidence_that_cannot_be_saved_keeps_nothing_from_being_removed(make):
    StubCapture.stops.append(EvidenceError("dumpcap ended with 1"))
    bench = make()
    bench.up()
    bench.down()
    assert nothing_left(bench)
    assert about(bench)["problems"] == {"capture": "dumpcap ended with 1"}


def test_a_save_that_goes_wrong_altogether_keeps_nothing_from_being_removed(make, monkeypatch):
    def late(*_, **__):
        raise RuntimeFault("clean up: not done within 60 s")

    bench = make()
    bench.up()
    monkeypatch.setattr(benches, "run_each", late)
    bench.down()
    assert nothing_left(bench)
    assert about(bench)["problems"] == {"saving": "clean up: not done within 60 s"}


def test_what_cannot_be_removed_is_left_to_the_watchdog(make, monkeypatch):
    def stuck(*_):
        raise RuntimeFault("clean-up did not end")

    bench = make()
    bench.up()
    monkeypatch.setattr(benches, "remove_lab", stuck)
    with pytest.raises(RuntimeFault, match="did not end"):
        bench.down()
    assert not StubWatchdog.made[0].dismissed


def test_two_benches_share_nothing(make):
    first, second = make(), make()
    second.runtime = first.runtime
    first.up()
    second.up()
    assert first.identity.lab != second.identity.lab
    first.down()
    assert {item.labels["siplab.lab"] for item in first.runtime.inventory(ALL)} == {second.identity.lab}
    second.down()
    assert nothing_left(second)
