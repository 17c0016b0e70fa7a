"""A lab that stays up, on an engine in memory: who finds it, what its owner does and refuses, and how it ends."""
# ruff: noqa: F811  a fixture of another module is used as a parameter

import socket
import stat
import threading
from contextlib import nullcontext, suppress
from dataclasses import replace

import click
import pytest
from test_session_bench import IMAGES, make  # noqa: F401

from lab.agents.step import StepFailed
from lab.cli.complete import element_names, fault_kinds, lab_names
from lab.cli.output import Output
from lab.cli.people import parameters, show_told
from lab.cli.servers import _dns
from lab.errors import AgentError, EvidenceError, RuntimeFault, SpecError
from lab.evidence.directory import Endpoint
from lab.evidence.message import SipMessage
from lab.live import call as calls
from lab.live import owner as owners
from lab.live import start as starts
from lab.live.call import Placed, Wanted, _must_be_able, parties, place
from lab.live.engine import container, seen
from lab.live.found import FOLDER, ask, pick, running
from lab.live.lines import SOCKET, Talk, dial, listen
from lab.live.owner import Owner, join_command
from lab.live.start import Order, _believe, chosen, detach, new_folder
from lab.live.watch import Watch, message_line
from lab.runtime.base import Attachment, ContainerSpec
from lab.runtime.fake import FakeRuntime
from lab.runtime.labels import Identity
from lab.runtime.labels import Owner as Process
from lab.verdict.model import Status, Verdict


class Wires:
    """A capture that tells what a test puts into it."""

    def __init__(self):
        self.events = []
        self.fault = None

    def after(self, frame, within):
        if self.fault:
            raise self.fault
        return tuple(event for event in self.events if event.frame > frame)


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results"


@pytest.fixture
def kept(make, results, monkeypatch):
    """Labs that are up, by name; each is served in a thread until its end."""
    monkeypatch.setattr(owners, "LOOK_EVERY", 0.01)
    made = {}

    def keep(name="one"):
        bench = make()
        folder = results / FOLDER / name
        bench.setup = replace(bench.setup, folder=folder)
        bench.up()
        bench.capture.after = Wires().after
        owner = Owner(bench)
        said = []

        def live():
            owner.serve(said.append)
            with suppress(RuntimeFault):
                owner.down(said.append)

        thread = threading.Thread(target=live, daemon=True)
        thread.start()
        made[name] = (owner, thread)
        return bench, said

    yield keep
    for owner, thread in made.values():
        owner._stopping.set()
        thread.join(10)
        assert not thread.is_alive()


# -- lines ----------------------------------------------------------------------------------------------------------------------------


def test_objects_go_both_ways_and_end():
    one, other = map(Talk, socket.socketpair())
    one.say(operation="status", params={"text": "zwei\nZeilen"})
    assert other.hear() == {"operation": "status", "params": {"text": "zwei\nZeilen"}}
    one.close()
    assert other.hear() is None


@pytest.mark.parametrize("line", [b"hello\n", b"[1]\n", b"\xff\n"])
def test_what_is_no_object_is_an_error(line):
    here, there = socket.socketpair()
    here.sendall(line)
    with pytest.raises(RuntimeFault, match="no JSON object"):
        Talk(there).hear()


def test_a_socket_is_for_this_user_only_however_long_its_path(tmp_path):
    folder = tmp_path / ("long" * 30) / ("longer" * 20)
    folder.mkdir(parents=True)
    listening = listen(folder)
    assert stat.S_IMODE((folder / SOCKET).stat().st_mode) == 0o600
    dial(folder).close()
    listening.close()


# -- finding --------------------------------------------------------------------------------------------------------------------------


def test_no_lab_is_up(results):
    assert running(results) == []
    with pytest.raises(SpecError, match="no lab is up; start one: siplab up TOPOLOGY"):
        pick(results)


def test_the_only_lab_need_not_be_named(kept, results):
    bench, _ = kept()
    for wanted in ("", bench.identity.lab, bench.identity.lab[:3], "pair"):
        assert pick(results, wanted).lab == bench.identity.lab
    with pytest.raises(SpecError, match='no lab "zzz" is up'):
        pick(results, "zzz")


def test_with_several_labs_one_has_to_be_named(kept, results):
    labs = [kept(name)[0].identity.lab for name in ("one", "two")]
    with pytest.raises(SpecError, match=r"2 labs are up: .* \(pair\), .* \(pair\); name one by its id: --lab ID") as caught:
        pick(results)
    assert all(lab in str(caught.value) for lab in labs)
    assert pick(results, labs[1]).lab == labs[1]


def test_what_a_dead_owner_left_is_passed_over(results):
    folder = results / FOLDER / "dead"
    folder.mkdir(parents=True)
    listen(folder).close()
    assert (folder / SOCKET).exists()
    assert running(results) == []


# -- asking ---------------------------------------------------------------------------------------------------------------------------


def test_status_tells_what_somebody_who_comes_by_wants_to_know(kept, results):
    bench, _ = kept()
    status = pick(results).status
    alice = next(element for element in status["elements"] if element["name"] == "alice")
    assert (status["topology"], status["lab"]) == ("pair", bench.identity.lab)
    assert alice["account"] == "sip:alice@atlanta.example"
    assert alice["password"]
    assert alice["state"] == "running"
    (network,) = status["networks"]
    dns = bench.plan.element("dns").ipv4
    assert network["join"] == f"docker run --rm -it --network siplab-{bench.identity.lab}-internet --dns {dns} IMAGE"
    assert "══ internet ══" in status["picture"]


def test_a_network_without_name_server_is_joined_without(kept):
    bench, _ = kept()
    plan = replace(bench.plan, elements=tuple(e for e in bench.plan.elements if e.role != "dns"))
    assert join_command(plan, "internet", "net") == "docker run --rm -it --network net IMAGE"


def test_an_agent_is_asked_by_element_or_by_role(kept, results):
    kept()
    lab = pick(results)
    assert lab.ask("agent", role="dns", method="hello")["answer"]["contract"] == 1
    assert lab.ask("agent", element="alice", method="stats")["element"] == "alice"


REFUSED = {
    "no such operation": (("fly", {}), SpecError, 'no operation "fly"'),
    "no such element": (("agent", {"element": "carol", "method": "x"}), SpecError, 'no element "carol"'),
    "another role": (("agent", {"element": "alice", "role": "dns", "method": "x"}), SpecError, "with the role dns"),
    "no such role": (("agent", {"role": "nat", "method": "x"}), SpecError, "0 elements with the role nat"),
    "several of a role": (("agent", {"role": "proxy", "method": "x"}), SpecError, "name one: pa, pb"),
    "no such command": (("control", {"element": "pa", "command": "show"}), RuntimeFault, "no control command 'show'"),
    "no method": (("agent", {"element": "alice"}), SpecError, "cannot be understood"),
    "wrong options": (("call", {"caller": "alice", "speed": 3}), SpecError, "cannot be understood"),
    "no such caller": (("call", {"caller": "carol", "callee": "bob"}), SpecError, 'no user agent "carol"'),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_done_is_an_error_of_the_same_kind(kept, results, name):
    kept()
    (operation, params), kind, what = REFUSED[name]
    with pytest.raises(kind, match=what):
        pick(results).ask(operation, **params)


def test_an_elements_own_error_keeps_its_name_and_code(kept, results):
    bench, _ = kept()

    def refuse(method, **params):
        raise AgentError("alice: busy", element="alice", code="bad-state")

    bench.agents["alice"].request = refuse
    with pytest.raises(AgentError, match="alice: busy") as caught:
        pick(results).ask("agent", element="alice", method="register")
    assert (caught.value.element, caught.value.code) == ("alice", "bad-state")


@pytest.mark.parametrize(("declared", "kind"), [(frozenset({"udp"}), SpecError), (frozenset({"udp", "zrtp"}), None)])
def test_what_a_vendor_never_declared_is_no_failure_of_its_own(declared, kind):
    lab = type("Lab", (), {"declares": lambda self, _: declared})()
    refused = AgentError("alice: no zrtp", element="alice", code="unsupported")
    with pytest.raises(kind, match=r"^alice has no zrtp; choose another --transport or --media") if kind else nullcontext():
        _must_be_able(lab, refused, Wanted("alice", "bob", media="zrtp"))


def test_a_name_server_that_is_asked_wrongly_is_a_usage_error(monkeypatch):
    def refuse(*_, **params):
        raise AgentError("dns: fault.set: bad-params: kind: 'lie' is none of delay", element="dns", code="bad-params")

    monkeypatch.setattr("lab.cli.servers.pick", lambda *_: type("Found", (), {"ask": refuse})())
    with pytest.raises(SpecError, match=r"^dns: kind: 'lie' is none of delay$"):
        _dns("", "", "fault.set", kind="lie")


def test_a_call_is_told_of_as_it_goes_and_kept_until_it_is_ended(kept, results, monkeypatch):
    bench, _ = kept()
    leg = type("Leg", (), {"element": "alice", "try_bye": lambda self: False})()

    def placed(_, wanted, folder, say):
        say(f"{wanted.caller} calls {wanted.callee}")
        return Placed(Verdict(Status.FAIL, "no answer", "bob", "established"), "a ladder", folder, [leg] if wanted.keep else [])

    monkeypatch.setattr(owners, "place", placed)
    said = []
    lab = pick(results)
    told = lab.ask("call", said.append, caller="alice", callee="bob", keep=True)
    assert said == ["alice calls bob"]
    assert told["verdict"] == {"status": "fail", "reason": "no answer", "blame": "bob", "step": "established"}
    assert (told["ladder"], told["kept"]) == ("a ladder", True)
    assert told["folder"] == str(bench.setup.folder / "calls" / "1")
    assert lab.ask("hangup") == {"calls": 1}
    assert lab.ask("hangup") == {"calls": 0}


@pytest.mark.parametrize(
    ("callee", "answers", "uri"),
    [
        ("bob", "bob", "sip:bob@biloxi.example"),
        ("bob@biloxi.example", "bob", "sip:bob@biloxi.example"),
        ("100", "", "sip:100@atlanta.example"),
        ("carol@biloxi.example", "", "sip:carol@biloxi.example"),
        ("sips:bob@biloxi.example", "", "sips:bob@biloxi.example"),
    ],
)
def test_who_is_called_and_who_shall_answer(kept, callee, answers, uri):
    bench, _ = kept()
    assert parties(bench.plan, Wanted("alice", callee)) == ("alice", answers, uri)


def test_of_an_address_that_several_share_nobody_in_particular_shall_answer(kept):
    bench, _ = kept()
    bob = bench.plan.element("bob")
    shared = replace(bench.plan, elements=(*bench.plan.elements, replace(bob, name="bob2")))
    assert parties(shared, Wanted("alice", "bob@biloxi.example"))[1] == ""
    assert parties(shared, Wanted("alice", "bob2"))[1:] == ("bob2", "sip:bob@biloxi.example")


@pytest.mark.parametrize(
    ("callee", "what"),
    [("alice", "cannot call itself"), ("alice@atlanta.example", "cannot call itself"), ("pa", "pa is a proxy and has no account")],
)
def test_who_cannot_be_called(kept, callee, what):
    bench, _ = kept()
    with pytest.raises(SpecError, match=what):
        parties(bench.plan, Wanted("alice", callee))


class Side:
    """A user agent that registers, and whose calls end as a test wants."""

    def __init__(self, name, log, fails=""):
        self.name, self.tone, self.element = name, 440, name
        self._log, self._fails = log, fails

    def __getattr__(self, step):
        def done(*arguments, **options):
            self._log.append(f"{self.name} {step}")
            if step == self._fails == "reset":
                raise AgentError("reset: no answer", element=self.name)
            if step == self._fails:
                raise StepFailed(f"{self.name}: {step}", element=self.name, step=step, trace="INVITE")
            return self

        return done

    def __bool__(self):
        return True


def placed(bench, monkeypatch, tmp_path, fails="", hung_up=True, **wanted):
    """What `place` makes of sides that do as told, and the order of it all."""
    log, said = [], []
    monkeypatch.setattr(Side, "try_bye", lambda self: log.append(f"{self.name} try_bye") or hung_up, raising=False)
    sides = {name: Side(name, log, fails if name == "bob" else "") for name in ("alice", "bob")}

    class View:
        plan = bench.plan

        def __init__(self, *_):
            pass

        def observe(self):
            log.append("observe")

        def user_agent(self, name):
            return sides[name]

    monkeypatch.setattr(calls, "Lab", View)
    monkeypatch.setattr(calls, "save", lambda _: log.append("save") or [])
    return place(bench, Wanted("alice", "bob", **wanted), tmp_path / "call", said.append), log, said


def test_a_call_from_registration_to_verdict(kept, monkeypatch, tmp_path):
    bench, _ = kept()
    made, log, said = placed(bench, monkeypatch, tmp_path)
    assert made.verdict.status is Status.PASS
    assert log[:3] == ["alice reset", "bob reset", "observe"]
    assert log.index("bob answer") < log.index("alice heard") < log.index("alice try_bye") < log.index("save")
    assert said[0] == "alice is registered over udp"
    assert said[-1] == "alice hung up"
    assert made.legs == []


def test_a_call_that_ended_by_itself_is_no_pass(kept, monkeypatch, tmp_path):
    bench, _ = kept()
    made, log, said = placed(bench, monkeypatch, tmp_path, hung_up=False)
    assert (made.verdict.status, made.verdict.step) == (Status.FAIL, "bye")
    assert made.verdict.reason.startswith("alice: the call had ended before alice hung up")
    assert "alice hung up" not in said
    assert log[-2:] == ["alice reset", "bob reset"]


def test_a_call_that_is_kept_is_not_ended(kept, monkeypatch, tmp_path):
    bench, _ = kept()
    made, log, _ = placed(bench, monkeypatch, tmp_path, keep=True)
    assert [leg.name for leg in made.legs] == ["alice", "bob"]
    assert "alice try_bye" not in log


@pytest.mark.parametrize("keep", [False, True])
def test_nobody_stays_in_a_call_that_failed(kept, monkeypatch, tmp_path, keep):
    bench, _ = kept()
    made, log, _ = placed(bench, monkeypatch, tmp_path, fails="expect_invite", keep=keep)
    assert (made.verdict.status, made.legs) == (Status.FAIL, [])
    assert log[log.index("save") :] == ["save", "alice reset", "bob reset"]


@pytest.mark.parametrize("fails", ["reset", "heard"])
def test_who_died_is_to_blame_for_the_call(kept, monkeypatch, tmp_path, fails):
    bench, _ = kept()
    bench.runtime.kill(bench.handles["bob"])
    assert bench._logs["bob"].ended.wait(10)
    made, log, _ = placed(bench, monkeypatch, tmp_path, fails=fails)
    assert (made.verdict.status, made.verdict.blame) == (Status.FAIL, "bob")
    assert made.verdict.reason.startswith("bob died by signal 9")
    assert ("observe" in log) == (fails == "heard")


def test_a_call_that_could_not_be_prepared_says_why(kept, monkeypatch, tmp_path):
    bench, _ = kept()
    made, log, _ = placed(bench, monkeypatch, tmp_path, fails="reset")
    assert (made.verdict.status, made.verdict.blame, made.ladder) == (Status.FAIL, "bob", "")
    assert made.verdict.reason == "reset: no answer"
    assert "observe" not in log


# -- the end --------------------------------------------------------------------------------------------------------------------------


def guest(runtime: FakeRuntime, network: str) -> None:
    runtime.images["phone"] = IMAGES["helper"]
    runtime.start(runtime.create(ContainerSpec("my-phone", "phone", (Attachment(network, "198.18.0.2", "2001:db8::2"),))))


def test_down_is_asked_for_and_told_of_with_the_guests(kept, results):
    bench, said = kept()
    guest(bench.runtime, bench.networks["internet"])
    ended = pick(results).ask("down")
    line = f"my-phone is disconnected from {bench.networks['internet']}: it is not the lab's, and goes on without it"
    assert ended == {"guests": [line], "folder": str(bench.setup.folder)}
    assert line in said
    assert running(results) == []
    assert bench.runtime.inventory({"siplab": "1"}) == []
    assert [c.spec.name for c in bench.runtime.containers.values()] == ["my-phone"]
    assert bench.runtime.by_name("my-phone").state.running
    assert ("disconnect", "my-phone") in bench.runtime.calls


def test_a_lab_that_does_not_go_down_says_so_to_whoever_asked(kept, results):
    bench, _ = kept()
    down = bench.down

    def fail():
        down()
        raise RuntimeFault("clean-up did not end")

    bench.down = fail
    with pytest.raises(RuntimeFault, match="clean-up did not end"):
        pick(results).ask("down")


def test_an_owner_that_dies_while_asked_is_an_error(tmp_path):
    listening = listen(tmp_path)

    def die():
        sock, _ = listening.accept()
        sock.close()

    threading.Thread(target=die, daemon=True).start()
    with pytest.raises(RuntimeFault, match="owner"):
        ask(tmp_path, "status")
    listening.close()


# -- watching -------------------------------------------------------------------------------------------------------------------------


def message(frame: int, first: str) -> SipMessage:
    raw = f"{first}\r\nCSeq: 1 INVITE\r\n\r\n".encode()
    return SipMessage(frame, 1764000000.5, Endpoint("198.18.0.30", 5060, "alice"), Endpoint("198.18.0.20", 5060, "pa"), "udp", raw)


def test_messages_are_one_harmless_line_each():
    line = message_line(message(1, "INVITE sip:bob@biloxi.example SIP/2.0"))
    assert line.endswith(".500  alice → pa  INVITE sip:bob@biloxi.example  udp")
    hostile = message_line(message(1, "SIP/2.0 486 \x1b[2Jgone\x07"))
    assert "486" in hostile
    assert hostile.isprintable()


def test_each_message_and_each_death_is_told_once(make):
    bench = make()
    bench.up()
    wires = Wires()
    bench.capture.after = wires.after
    wires.events = [message(1, "INVITE sip:bob@biloxi.example SIP/2.0"), message(2, "ACK sip:bob@biloxi.example SIP/2.0")]
    watch = Watch(bench)
    stopping = threading.Event()
    assert len(list(watch.lines(0, stopping))) == 2
    bench.runtime.by_name("-bob").end(139)
    bench._logs["bob"].ended.wait(5)
    (line,) = watch.lines(0, stopping)
    assert line.startswith("bob died by signal 11 (SIGSEGV); last log lines: ")
    assert list(watch.lines(0, stopping)) == []
    bench.down()


def test_a_capture_that_ends_is_told_once_and_the_lab_stays(make):
    bench = make()
    bench.up()
    wires = Wires()
    wires.fault = EvidenceError("dumpcap ended")
    bench.capture.after = wires.after
    watch = Watch(bench)
    stopping = threading.Event()
    (line,) = watch.lines(0, stopping)
    assert line == "the capture has ended, messages are no longer shown: dumpcap ended"
    assert list(watch.lines(0, stopping)) == []
    bench.down()


# -- the engine's view ----------------------------------------------------------------------------------------------------------------


def test_whose_labs_are_on_the_engine(kept, results):
    bench, _ = kept()
    engine = bench.runtime
    for lab, owner in (("dddddddd", replace(Process.current(), start=1)), ("eeeeeeee", Process.current())):
        me = Identity(lab=lab, owner=str(owner), run="r7")
        engine.create_volume(me.name("keys"), me.labels())
    found = {lab.lab: lab for lab in seen(engine, running(results))}
    assert found[bench.identity.lab].topology == "pair"
    assert found[bench.identity.lab].keeper.startswith("siplab up, process ")
    assert found[bench.identity.lab].elements == ("alice", "bob", "dns", "pa", "pb")
    assert found["dddddddd"].keeper == "dead: `siplab down` removes it"
    assert found["eeeeeeee"].keeper.endswith(", run r7")


def test_an_elements_container(kept):
    bench, _ = kept()
    assert container(bench.runtime, bench.identity.lab, "alice") == bench.handles["alice"]
    with pytest.raises(SpecError, match='no element "alicia"; did you mean alice'):
        container(bench.runtime, bench.identity.lab, "alicia")
    with pytest.raises(SpecError, match="see `siplab ps`"):
        container(bench.runtime, "00000000", "alice")


# -- starting -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "kind", "what"),
    [
        (b"", RuntimeFault, "ended before the lab was up; see there/owner.txt"),
        (b'{"error": "no vendor", "exit": 2}\n', SpecError, "no vendor"),
        (b'{"error": "no engine", "exit": 3}\n', RuntimeFault, "no engine"),
    ],
)
def test_why_a_detached_lab_did_not_come_up(said, kind, what):
    with pytest.raises(kind, match=what):
        _believe(said, "there")
    _believe(b'{"up": true}\n', "there")


def test_one_command_makes_one_lab(make, tmp_path, monkeypatch):
    make()
    monkeypatch.setenv("SIPLAB_HOME", str(tmp_path))
    assert len(chosen("pair", ("bob=acme",), ()).bindings) == 1
    with pytest.raises(SpecError, match="2 labs; bind each element to one vendor"):
        chosen("pair", ("bob=acme,initech",), ())
    assert new_folder(tmp_path, "pair").is_dir()


def test_what_a_server_tells_is_shown_whatever_its_shape(capsys):
    flow = {"inside": "10.64.1.30:5060", "replied": True, "remote": None, "t": 0.25}
    show_told(Output(), "nat1", {"type": "symmetric", "hairpin": False, "inside": ["home", "guests"], "bindings": [flow]})
    show_told(Output(), "nat2", {"type": "full-cone", "bindings": []})
    show_told(Output(), "nat3", "as text\x1b[2J")
    out = capsys.readouterr().out
    assert "nat1: type symmetric, hairpin no, inside home guests\nbindings" in out
    assert "10.64.1.30:5060   yes" in out
    assert "nat2: type full-cone\nno bindings\nnat3: as text·[2J\n" in out


def test_parameters_are_json_where_they_can_be():
    words = ("seconds=2.5", "tcp=false", "name=pa.atlanta.example", 'records=[{"type": "A"}]', "empty=")
    wanted = {"seconds": 2.5, "tcp": False, "name": "pa.atlanta.example", "records": [{"type": "A"}], "empty": ""}
    assert parameters(words) == wanted
    for wrong in ("seconds", "=2"):
        with pytest.raises(click.UsageError, match="KEY=VALUE"):
            parameters((wrong,))


# -- completion -----------------------------------------------------------------------------------------------------------------------


def test_labs_elements_and_faults_are_offered(kept, tmp_path, monkeypatch):
    bench, _ = kept()
    monkeypatch.setenv("SIPLAB_HOME", str(tmp_path))
    bench.agents["dns"].request = lambda method, **_: {"faults": ["delay", "drop", "nxdomain"]}
    context = click.Context(click.Command("logs"))
    parameter = click.Argument(["element"])
    assert lab_names(context, parameter, "") == [bench.identity.lab]
    assert element_names(context, parameter, "p") == ["pa", "pb"]
    assert fault_kinds(context, parameter, "d") == ["delay", "drop"]
    context.params["lab"] = "zz"
    assert element_names(context, parameter, "") == []


def test_nothing_is_offered_where_no_lab_is_up(results, monkeypatch, tmp_path):
    monkeypatch.setenv("SIPLAB_HOME", str(tmp_path / "nowhere"))
    context, parameter = click.Context(click.Command("logs")), click.Argument(["element"])
    assert lab_names(context, parameter, "") == element_names(context, parameter, "") == fault_kinds(context, parameter, "") == []


def test_a_detached_lab_that_never_says_that_it_is_up_is_not_waited_for_for_ever(tmp_path, monkeypatch):
    asleep = tmp_path / "python"
    asleep.write_text("#!/bin/sh\nexec sleep 60\n")
    asleep.chmod(0o755)
    monkeypatch.setattr(starts.sys, "executable", str(asleep))
    monkeypatch.setattr(starts, "UP_WITHIN", 0.2)
    with pytest.raises(RuntimeFault, match=r"the lab was not up within 0\.2 s and is taken down; see .*owner\.txt"):
        detach(Order("trapezoid", (), (), 1, str(tmp_path)), tmp_path)
