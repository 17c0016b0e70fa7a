"""The client of the agent contract against agents that keep it and agents that do not."""

import json
import queue
import threading

import pytest

from lab.agents.call import Ears
from lab.agents.client import AgentClient
from lab.agents.events import EventLog
from lab.agents.step import StepFailed
from lab.agents.user_agent import Identity, UserAgent
from lab.errors import AgentError, RuntimeFault


class Pipe:
    """A channel whose far end is a function from request to lines."""

    def __init__(self, answer):
        self._answer = answer
        self._lines = queue.Queue()

    def send(self, line):
        for reply in self._answer(json.loads(line)):
            self._lines.put(reply if isinstance(reply, bytes) else json.dumps(reply).encode())

    def push(self, reply):
        self._lines.put(reply if isinstance(reply, bytes | None) else json.dumps(reply).encode())

    def lines(self):
        while (line := self._lines.get()) is not None:
            yield line

    def close(self):
        self._lines.put(None)


def client(answer):
    pipe = Pipe(answer)
    return AgentClient("alice", pipe), pipe


def ok(request, **result):
    return [{"id": request["id"], "result": result}]


def test_a_result_comes_back():
    agent, _ = client(lambda r: ok(r, contract=1, method=r["method"]))
    assert agent.request("hello") == {"contract": 1, "method": "hello"}


def test_answers_may_come_in_any_order():
    held = []

    def answer(request):
        held.append(request)
        return [] if len(held) < 2 else [*ok(held[1], n=2), *ok(held[0], n=1)]

    agent, _ = client(answer)
    results = {}
    first = threading.Thread(target=lambda: results.update(one=agent.request("stats")))
    first.start()
    while not held:
        pass
    results["two"] = agent.request("stats")
    first.join()
    assert results == {"one": {"n": 1}, "two": {"n": 2}}


def test_an_error_keeps_its_code_and_its_element():
    agent, _ = client(lambda r: [{"id": r["id"], "error": {"code": "unsupported", "message": "no such thing"}}])
    with pytest.raises(AgentError) as caught:
        agent.request("call.refer")
    assert (caught.value.element, caught.value.code) == ("alice", "unsupported")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"Segmentation fault", "not protocol"),
        (b"[1,2]", "not protocol"),
        (b'{"id":99,"result":{}}', "no open request"),
        (b'{"x":1}', "no open request"),
        (b"[" * 100_000, "flooded its output: a line of more than 65536 bytes"),
        (b'{"event":"x","t":NaN}', "not protocol"),
        (b'{"event":"x","reason":"\\ud800"}', "not protocol"),
        (b'{"event":{"x":1}}', "not protocol"),
        (b"[" * 60_000, "not protocol"),
    ],
)
def test_rubbish_on_stdout_is_the_vendors_fault(line, complaint):
    agent, pipe = client(lambda r: [])
    pipe.push(line)
    fault = agent.events.wait(lambda e: e.name == "fault", within=2)
    assert complaint in fault.data["what"]
    with pytest.raises(AgentError, match="alice: hello"):
        agent.request("hello")


def test_a_flood_of_events_ends_it_and_is_told_once(monkeypatch):
    monkeypatch.setattr("lab.agents.client.MAX_EVENTS", 3)
    told = []
    pipe = Pipe(ok)
    agent = AgentClient("alice", pipe, on_breach=told.append)
    for _ in range(2):
        for _ in range(3):
            pipe.push({"event": "x"})
        agent.reset()
    assert agent.dead is None
    for _ in range(9):
        pipe.push({"event": "x"})
    fault = agent.events.wait(lambda e: e.name == "fault", within=2)
    assert fault.data["what"] == "flooded its output: more than 3 events since its reset"
    assert told == [fault.data["what"]]


def test_an_agent_whose_software_died_is_dead_though_it_answers():
    agent, pipe = client(ok)
    assert agent.dead is None
    pipe.push({"event": "fault", "what": "acme ended by signal 11 (SIGSEGV)", "signal": 11})
    agent.events.wait(lambda e: e.name == "fault", within=2)
    agent.request("stats")
    assert agent.dead == "acme ended by signal 11 (SIGSEGV)"


def test_who_has_not_answered_is_not_asked_to_shut_down():
    asked = []
    agent, _ = client(lambda r: asked.append(r["method"]) or [])
    with pytest.raises(AgentError, match="no answer"):
        agent.request("stats", within=0.01)
    agent.shutdown(within=30)
    assert asked == ["stats"]


def test_an_end_of_file_wakes_a_waiter_at_once():
    agent, pipe = client(lambda r: [None])
    pipe.push(None)
    with pytest.raises(AgentError, match="end of file"):
        agent.request("hello", within=30)


def test_silence_is_a_fault_after_the_deadline():
    agent, _ = client(lambda r: [])
    with pytest.raises(AgentError, match=r"no answer within 0\.05 s"):
        agent.request("hello", within=0.05)


def test_a_result_that_is_no_object_is_a_fault():
    agent, _ = client(lambda r: [{"id": r["id"], "result": 5}])
    with pytest.raises(AgentError, match="without an object"):
        agent.request("hello")


def test_waiting_sees_what_was_recorded_before_and_what_comes_later():
    log = EventLog()
    threading.Timer(0.05, lambda: log.append(event("late"))).start()
    log.append(event("early"))
    assert log.wait(lambda e: e.name == "early", within=1).name == "early"
    assert log.wait(lambda e: e.name == "late", within=5).name == "late"
    assert log.wait(lambda e: e.name == "never", within=0.01) is None


def event(name, **data):
    from lab.agents.events import Event

    return Event(name, {"event": name, **data}, 0.0)


def phone(answer, mix=None, holds=None):
    agent, pipe = client(answer)
    identity = Identity("sip:alice@atlanta.example", "alice", "secret", 440, {"udp": "sip:pa:5060;transport=udp"})
    ears = Ears(fetch=lambda element, path: b"RIFF", judge=None, holds=holds, mix=mix, keep=lambda element, name, data: None)
    return UserAgent(agent, identity, ears=ears), pipe


def test_register_insists_and_names_the_method_to_trace():
    def answer(request):
        if request["method"] == "register":
            return [*ok(request), {"event": "registration", "account": "a1", "state": "failed", "code": 403, "reason": "Forbidden"}]
        return ok(request, account="a1")

    alice, _ = phone(answer)
    with pytest.raises(StepFailed, match="failed 403 Forbidden") as caught:
        alice.register()
    assert (caught.value.element, caught.value.trace) == ("alice", "REGISTER")
    outcome = alice.attempt_register()
    assert not outcome
    assert outcome.refused
    assert outcome.code == 403


def test_a_registration_without_any_outcome_is_no_refusal():
    alice, _ = phone(lambda r: ok(r, account="a1"))
    outcome = alice.attempt_register(within=0.05)
    assert not outcome
    assert not outcome.refused


def test_an_event_of_an_earlier_registration_does_not_count():
    alice, pipe = phone(lambda r: ok(r, account="a1"))
    pipe.push({"event": "registration", "account": "a1", "state": "registered"})
    alice.client.events.wait(lambda e: e.name == "registration", within=2)
    assert not alice.attempt_register(within=0.05)


def test_two_calls_are_two_invites():
    alice, pipe = phone(lambda r: ok(r, account="a1"))
    pipe.push({"event": "call.incoming", "call": "c1", "from": "sip:x@y"})
    pipe.push({"event": "call.incoming", "call": "c2", "from": "sip:x@y"})
    assert [alice.expect_invite().id, alice.expect_invite().id] == ["c1", "c2"]
    with pytest.raises(StepFailed, match=r"no call\.incoming"):
        alice.expect_invite(within=0.05)


def test_a_call_that_ended_stops_the_wait_for_an_answer():
    alice, pipe = phone(lambda r: ok(r, account="a1", call="c1"))
    alice.add_account()
    call = alice.invite("sip:bob@biloxi.example")
    pipe.push({"event": "call.state", "call": "c1", "state": "terminated", "code": 486, "reason": "Busy Here"})
    outcome = call.established(within=30)
    assert not outcome
    assert "terminated 486 Busy Here" in outcome.what
    assert call.ended().code == 486


def test_an_answered_call_was_not_refused_and_nobody_waits_for_its_end():
    alice, pipe = phone(lambda r: ok(r, account="a1", call="c1"))
    alice.add_account(aor="sips:alice@atlanta.example")
    call = alice.invite("sips:bob@biloxi.example")
    pipe.push({"event": "call.state", "call": "c1", "state": "established"})
    outcome = call.refused(within=30)
    assert not outcome
    assert outcome.what == "the call was established"


@pytest.mark.parametrize(("state", "ok_", "refused"), [("done", True, False), ("failed", False, True)])
def test_a_transfer_ends_one_way_or_the_other(state, ok_, refused):
    alice, pipe = phone(lambda r: ok(r, account="a1", call="c1"))
    alice.add_account()
    call = alice.invite("sip:bob@biloxi.example")
    pipe.push({"event": "transfer", "call": "c1", "state": "accepted"})
    pipe.push({"event": "transfer", "call": "c1", "state": state, "code": 404})
    outcome = call.transferred(within=30)
    assert (outcome.ok, bool(outcome.refused), outcome.code) == (ok_, refused, 404)


def test_a_transfer_of_which_nothing_is_heard_is_no_refusal():
    alice, _ = phone(lambda r: ok(r, account="a1", call="c1"))
    alice.add_account()
    outcome = alice.invite("sip:bob@biloxi.example").transferred(within=0.05)
    assert not outcome
    assert not outcome.refused


@pytest.mark.parametrize("code", ["unknown-call", "bad-state"])
def test_a_call_that_is_over_hears_nothing_and_says_why(code):
    def answer(request):
        if request["method"] == "media.record":
            return [{"id": request["id"], "error": {"code": code, "message": "no call 'c1'"}}]
        return ok(request, account="a1", call="c1")

    alice, pipe = phone(answer)
    alice.add_account()
    call = alice.invite("sip:bob@biloxi.example")
    pipe.push({"event": "call.state", "call": "c1", "state": "terminated", "reason": "no keys"})
    assert call.ended()
    outcome = call.heard(440)
    assert not outcome
    assert outcome.what == "cannot hear anything, last state: terminated no keys"


def test_who_learns_a_moment_later_that_the_call_is_established_hears_all_the_same():
    tried = []

    def answer(request):
        if request["method"] != "media.record":
            return ok(request, account="a1", call="c1")
        tried.append(request)
        if len(tried) > 1:
            return [{"id": request["id"], "error": {"code": "failed", "message": "reached"}}]
        late = {"event": "call.state", "call": "c1", "state": "established"}
        return [{"id": request["id"], "error": {"code": "bad-state", "message": "ringing"}}, late]

    alice, pipe = phone(answer)
    alice.add_account()
    call = alice.invite("sip:bob@biloxi.example")
    pipe.push({"event": "call.state", "call": "c1", "state": "ringing"})
    with pytest.raises(AgentError, match="reached"):
        call.heard(440, within=2)


def test_who_never_learns_that_the_call_is_established_hears_nothing():
    def answer(request):
        if request["method"] == "media.record":
            return [{"id": request["id"], "error": {"code": "bad-state", "message": "ringing"}}]
        return ok(request, account="a1", call="c1")

    alice, pipe = phone(answer)
    alice.add_account()
    call = alice.invite("sip:bob@biloxi.example")
    pipe.push({"event": "call.state", "call": "c1", "state": "ringing"})
    outcome = call.heard(440, within=0.05)
    assert (bool(outcome), outcome.what) == (False, "cannot hear anything, last state: ringing")


def test_notifications_count_once_each_and_in_order():
    alice, pipe = phone(lambda r: ok(r, account="a1", subscription="s1"))
    alice.add_account()
    indications = alice.subscribe("sip:alice@atlanta.example", "message-summary")
    for counts in ("0/0", "1/0"):
        pipe.push({"event": "notify", "subscription": "s1", "state": "active", "body": f"Voice-Message: {counts}"})
    assert alice.notified(indications, "Voice-Message: 0/0", within=2)
    assert alice.notified(indications, "Voice-Message: 1/0", within=2)
    assert not alice.notified(indications, "Voice-Message: 0/0", within=0.05)


@pytest.mark.parametrize(("words", "recordings"), [("all at once", 1), ("hears its own tone: mixer", 1)])
def test_a_mix_or_an_echo_ends_the_listening(words, recordings):
    taken = []

    def answer(request):
        if request["method"] != "media.record":
            return ok(request, account="a1", call="c1")
        taken.append(request)
        return [
            *ok(request, recording="r1"),
            {"event": "media.recorded", "call": "c1", "recording": "r1", "file": "/x.wav", "seconds": 0.8},
        ]

    alice, _ = phone(answer, mix=lambda wav, tones, own, seconds: (words.startswith("all"), words))
    alice.add_account()
    outcome = alice.invite("sip:room@conf.example").hears_all(880, 620, own=440)
    assert (outcome.ok, outcome.what, len(taken)) == (words.startswith("all"), words, recordings)


def listening(*events, holds=None):
    """A call of alice's, and a recording of it, after which these events came."""
    alice, pipe = phone(lambda r: ok(r, account="a1", call="c1", recording="r1"), holds=holds)
    alice.add_account()
    recording = alice.invite("sip:bob@biloxi.example").record()
    for each in events:
        pipe.push(each)
    if events:
        alice.client.events.wait(lambda e: e.name == (events[-1] or {"event": "fault"})["event"], within=5)
    return recording


RECORDED = {"event": "media.recorded", "call": "c1", "recording": "r1", "file": "/x.wav", "seconds": 0.8}


def test_a_side_that_hears_nothing_is_silent_and_one_that_is_gone_is_not():
    assert listening().silent(within=0.05)
    over = listening({"event": "call.state", "call": "c1", "state": "terminated"}).silent(within=0.05)
    assert (over.ok, over.what, over.trace) == (False, "the call is over", "BYE")
    assert listening({"event": "call.state", "call": "c2", "state": "terminated"}).silent(within=0.05)
    failed = listening({"event": "fault", "what": "no sound card"}).silent(within=0.05)
    assert (failed.ok, failed.what) == (False, "the element failed: no sound card")
    gone = listening(None).silent(within=0.05)
    assert (gone.ok, gone.what) == (False, "the element failed: the agent ended (end of file on its output)")


def test_a_tone_that_is_still_there_is_no_silence():
    recording = listening(RECORDED, holds=lambda wav, hz: (hz == 440, f"{hz} Hz for 0.4 s"))
    assert recording.silent(tones=(880,))
    assert recording.silent(tones=(880, 440)).what == "still hears 440 Hz for 0.4 s"


def test_no_digit_is_lost_between_two_questions():
    alice, pipe = phone(lambda r: ok(r, account="a1", call="c1"))
    alice.add_account()
    call = alice.invite("sip:bob@biloxi.example")
    for digit in "5#11":
        pipe.push({"event": "call.dtmf", "call": "c1", "digit": digit})
    alice.client.events.wait(lambda e: len(alice.client.events) >= 4, within=5)
    assert call.received_digits("5")
    assert call.received_digits("#1", within=0.05)
    assert call.received_digits("", within=0.05).what == "received digits '1', wanted ''"


@pytest.mark.parametrize(("said", "good"), [(True, True), (False, False), ("false", False), (None, False)])
def test_only_true_is_a_message_that_was_delivered(said, good):
    def answer(request):
        if request["method"] != "message.send":
            return ok(request, account="a1")
        return [*ok(request, message="m1"), {"event": "message.status", "message": "m1", "code": 200, "ok": said}]

    alice, _ = phone(answer)
    alice.add_account()
    assert bool(alice.message("sip:bob@biloxi.example", "hello")) is good


def test_a_lost_way_to_an_agent_is_not_its_end():
    class Lost(Pipe):
        def lines(self):
            yield from ()
            raise RuntimeFault("connection to the engine lost")

    agent = AgentClient("alice", Lost(lambda request: []))
    agent._thread.join(5)
    assert (agent.broken, agent.dead) == ("connection to the engine lost", "the agent's output broke (connection to the engine lost)")
