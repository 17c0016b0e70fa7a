"""What follows from the cells of a check, and how it is told: no Docker."""

from __future__ import annotations

import ast
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest

from lab.agents.step import StepFailed
from lab.conformance.breach import Trial, bad_parameters, hold, refuse, unknown_ids
from lab.conformance.check import Check
from lab.conformance.conclusion import Conclusion, Outcome, conclude
from lab.conformance.contract import ADDED, METHODS
from lab.conformance.files import counted, junit, last, outcomes, store, table
from lab.conformance.partners import Partners, rank
from lab.conformance.probes import SUBJECTS, subject_of
from lab.conformance.talk import Talk
from lab.errors import AgentError, EvidenceError, PlanError, RuntimeFault
from lab.plan.binding import Selection
from lab.schedule import collect
from lab.spec.capability import CAPABILITIES, CONTRACT_CAPABILITIES
from lab.spec.catalog import load_topology, vendors
from lab.verdict.model import Attempt, Cell, Status, Verdict

USER_AGENT, PROXY = SUBJECTS["user-agent"], SUBJECTS["proxy"]
ROOT = Path(__file__).resolve().parents[2]
ABOUT = dict(
    vendor="acme", flavour="1", version="acme 1.0", image="acme:1", against="globex@2", run="r1", checked="2026-01-01T00:00:00+00:00"
)


def cell(name: str, status: Status = Status.PASS, reason: str = "", blame: str = "") -> Cell:
    return Cell(1, "r1", "p1", "trapezoid", {}, name, "", (Attempt(Verdict(status, reason, blame), 0.0, 1.5),))


def concluded(declared: set[str], *changed: Cell) -> Conclusion:
    """All cells pass but the ones that are given."""
    names = {c.scenario for c in changed}
    return conclude(USER_AGENT, [*changed, *(cell(name) for name in USER_AGENT.wanted - names)], declared, ABOUT)


def row(conclusion: Conclusion, name: str) -> Any:
    return next(row for row in conclusion.rows if row.name == name)


@pytest.mark.collects
def test_every_probe_is_a_cell_that_exists() -> None:
    topologies = {name for subject in SUBJECTS.values() for name in subject.topologies}
    found = {name: {item["scenario"] for item in collect(ROOT, name, [str(ROOT / "lab/conformance/cases")])} for name in topologies}
    for subject in SUBJECTS.values():
        assert subject.wanted <= {scenario for name in subject.topologies for scenario in found[name]}
        assert set(subject.probes) <= set(CAPABILITIES)


def test_every_capability_of_a_user_agent_has_a_probe() -> None:
    assert set(USER_AGENT.probes) == set(CONTRACT_CAPABILITIES)


def test_every_declared_capability_of_a_server_has_a_probe() -> None:
    unprobed = {
        (vendor.name, role): vendor.playing(role).capabilities_of(flavour) - SUBJECTS[role].probes.keys()
        for vendor in vendors(ROOT).values()
        for role in vendor.roles
        if role in SUBJECTS
        for flavour in vendor.flavours
    }
    assert not {who: what for who, what in unprobed.items() if what}


def test_a_failure_is_the_vendors_where_the_blamed_element_is_its_own_on_that_topology() -> None:
    failed = [
        Cell(1, "r1", "p1", where, {}, name, "", (Attempt(Verdict(Status.FAIL, "x", blame), 0.0, 0.0),))
        for where, name, blame in (
            ("forking", "fork-first-wins", "p"),
            ("trapezoid-3", "transit-call[udp+rtp]", "pa"),
        )
    ]
    made = conclude(PROXY, failed, {"fork-parallel", "transit"}, ABOUT)
    assert (row(made, "fork-parallel").outcome, row(made, "transit").outcome) == (Outcome.REFUTED, Outcome.UNPROBED)


def test_every_case_is_wanted() -> None:
    cases = (ROOT / "lab/conformance/cases").glob("test_*.py")
    functions = {n.name for path in cases for n in ast.parse(path.read_text()).body if isinstance(n, ast.FunctionDef)}
    names = {name.partition("[")[0] for subject in SUBJECTS.values() for name in subject.wanted}
    assert {name.removeprefix("test_").replace("_", "-") for name in functions if name.startswith("test_")} <= names


def test_all_passed_conforms() -> None:
    made = concluded({"udp", "hold"})
    assert (made.exit_code, made.conforms) == (0, True)
    assert row(made, "hold").outcome is Outcome.PROVEN
    assert row(made, "tcp").outcome is Outcome.UNDECLARED
    of_a_proxy = conclude(PROXY, [cell(name) for name in PROXY.wanted], {"udp", "hold"}, ABOUT)
    assert (row(of_a_proxy, "hold").outcome, row(of_a_proxy, "hold").reason) == (Outcome.UNPROBED, "no probe exists")
    assert "busy" not in [each.name for each in of_a_proxy.rows]


@pytest.mark.parametrize(
    ("declared", "verdict", "outcome", "code"),
    [
        (True, (Status.FAIL, "no re-INVITE", "alice"), Outcome.REFUTED, 1),
        (True, (Status.XFAIL, "known", "alice"), Outcome.REFUTED, 1),
        (True, (Status.FAIL, "488 from bob", "bob"), Outcome.UNPROBED, 0),
        (True, (Status.UNSUPPORTED, "bob (x@1) has no hold", "bob"), Outcome.UNPROBED, 0),
        (True, (Status.INCONCLUSIVE, "no capture", "lab"), Outcome.UNPROBED, 3),
        (False, (Status.FAIL, "declared, but: alice: unsupported; last log lines: x", "alice"), Outcome.ABSENT, 0),
        (False, (Status.XPASS, "", ""), Outcome.UNDECLARED, 0),
        (False, (Status.INCONCLUSIVE, "nothing was captured", "lab"), Outcome.UNPROBED, 0),
    ],
)
def test_a_capability_is_judged(declared: bool, verdict: tuple[Status, str, str], outcome: Outcome, code: int) -> None:
    made = concluded({"hold"} if declared else set(), cell("hold-resume", *verdict))
    assert (row(made, "hold").outcome, made.exit_code) == (outcome, code)
    assert "last log" not in row(made, "hold").reason
    assert not row(made, "hold").reason.startswith("declared")


def test_the_contract_is_judged() -> None:
    assert concluded(set(), cell("ends[sigterm]", Status.FAIL, "still runs", "alice")).exit_code == 1
    assert concluded(set(), cell("ends[sigterm]", Status.FAIL, "still runs", "lab")).exit_code == 3
    nothing = conclude(USER_AGENT, [], {"udp"}, ABOUT)
    assert nothing.exit_code == 3
    assert row(nothing, "handshake").reason == "handshake was not run"


def test_one_failing_probe_of_several_refutes() -> None:
    made = concluded({"tls-server-name"}, cell("tls-server-name[expired]", Status.FAIL, "registered", "alice"))
    assert row(made, "tls-server-name").cells == ("tls-server-name[expired]",)
    assert made.names(Outcome.REFUTED) == ["tls-server-name"]


def test_the_table_leaves_out_what_says_nothing() -> None:
    made = concluded({"hold"}, cell("redirect", Status.UNSUPPORTED, "x", "bob"))
    names = [line[0] for line in table(made)]
    assert len(names) >= len(USER_AGENT.contract) + 1
    assert "redirect" not in names
    assert ("handshake", "contract", "proven", "") in table(made)
    assert ("tcp", "no", "works but undeclared", "") in table(made)


def test_a_reason_that_many_rows_have_is_told_once() -> None:
    dead = [cell(name, Status.FAIL, "ended with exit code 1", "alice") for name in ("handshake", "unknown-methods", "bad-parameters")]
    assert [line[3] for line in table(concluded(set(), *dead))[:4]] == ["ended with exit code 1", "as above", "as above", ""]


def test_junit_has_a_case_per_row() -> None:
    changed = (cell("hold-resume", Status.FAIL, "bad \x00 & <", "alice"), cell("reset", Status.INCONCLUSIVE, "lab", "lab"))
    made = concluded({"hold"}, *changed, cell("secure-call[zrtp]", Status.UNSUPPORTED, "x", "bob"))
    cases = {case.get("name"): case for case in ElementTree.fromstring(junit(made)).iter("testcase")}
    assert len(cases) == len(made.rows)
    assert cases["hold"].find("failure") is not None
    assert cases["reset"].find("error") is not None
    assert cases["zrtp"].find("skipped") is not None
    assert len(cases["udp"]) == 0
    assert float(cases["udp"].get("time", "")) == 1.5 * len(row(made, "udp").cells)


def test_the_last_conclusion_is_kept_and_shown(tmp_path: Path) -> None:
    unclear = cell("secure-call[zrtp]", Status.UNSUPPORTED, "x", "bob")
    made = concluded({"hold", "busy"}, cell("hold-resume", Status.FAIL, "x", "alice"), cell("tcp", Status.FAIL, "x", "alice"), unclear)
    path = store(tmp_path, made)
    assert path == tmp_path / "checks/acme@1.json"
    kept = last(tmp_path, "acme", "1")
    assert kept
    assert kept["conforms"] is False
    shown = outcomes(kept, ["hold", "busy", "zrtp"])
    assert (shown["hold"], shown["busy"], shown["zrtp"]) == ("refuted", "proven", "declared")
    assert counted(shown)[:3] == ("3", "1", "hold")
    assert "udp" in counted(shown)[3]
    assert last(tmp_path, "acme", "2") is None
    assert outcomes(None, ["udp"]) == {"udp": "declared"}
    path.write_text("{}")
    with pytest.raises(EvidenceError, match="check again"):
        last(tmp_path, "acme", "1")


def vendor(name: str, roles: list[str], *supports: str) -> Any:
    vendor = SimpleNamespace(name=name, roles=roles, default="1", flavours={"1": None}, capabilities_of=lambda flavour: frozenset(supports))
    vendor.playing = lambda role: vendor
    return vendor


KNOWN = {
    "acme": vendor("acme", ["user-agent"], "udp", "tcp", "hold"),
    "globex": vendor("globex", ["user-agent"], "udp", "sips"),
    "initech": vendor("initech", ["user-agent"], "udp"),
    "umbrella": vendor("umbrella", ["proxy"], "udp", "srv"),
    "tyrell": vendor("tyrell", ["proxy"], "udp"),
}


def chosen(name: str) -> Selection:
    return Selection(name, "1")


def test_candidates_are_ranked_by_what_they_declare_and_come_last_themselves() -> None:
    assert rank(USER_AGENT, chosen("globex"), KNOWN) == {"user-agent": [chosen("acme"), chosen("initech"), chosen("globex")]}
    assert rank(USER_AGENT, chosen("acme"), KNOWN, "initech") == {"user-agent": [chosen("initech")]}
    of_a_proxy = rank(PROXY, chosen("tyrell"), KNOWN, "acme")
    assert of_a_proxy == {"proxy": [chosen("umbrella"), chosen("tyrell")], "user-agent": [chosen("acme")]}
    with pytest.raises(PlanError, match=r'"umbrella" is no user-agent'):
        rank(USER_AGENT, chosen("acme"), KNOWN, "umbrella")
    with pytest.raises(PlanError, match="--against"):
        rank(PROXY, chosen("tyrell"), {"tyrell": KNOWN["tyrell"]})


def test_a_role_without_a_check_is_told() -> None:
    assert subject_of(KNOWN["umbrella"]) is PROXY
    both = vendor("cyberdyne", ["user-agent", "proxy"])
    assert (subject_of(both), subject_of(both, "proxy")) == (USER_AGENT, PROXY)
    with pytest.raises(PlanError, match="umbrella is no user-agent; its roles: proxy"):
        subject_of(KNOWN["umbrella"], "user-agent")
    with pytest.raises(PlanError, match="dulac is a dns: there is no check for that"):
        subject_of(vendor("dulac", ["dns"]))


def test_a_check_can_be_narrowed_to_some_lines() -> None:
    some = USER_AGENT.narrowed(["CALL in", "digest-md"])
    assert (list(some.contract), list(some.probes)) == (["call in, audio both ways"], ["digest-md5"])
    assert some.wanted == {"call-in", "registration", "reg-wrong-password"}
    assert USER_AGENT.narrowed([]) is USER_AGENT
    with pytest.raises(PlanError, match=r"-k nonsense: no line of the check has that in its name; there are handshake, .*raw"):
        USER_AGENT.narrowed(["nonsense"])


def test_lines_that_were_not_asked_for_are_not_told() -> None:
    some = USER_AGENT.narrowed(["registration", "udp"])
    made = conclude(some, [cell(name) for name in some.wanted], {"udp"}, ABOUT)
    assert ([row.name for row in made.rows], made.exit_code) == (["registration", "udp"], 0)


def partners(subject: Any, name: str) -> Partners:
    topologies = {each: load_topology(each, ROOT) for each in subject.topologies}
    return Partners(subject, chosen(name), topologies, KNOWN, rank(subject, chosen(name), KNOWN))


def wish(name: str, topology: str = "trapezoid", **needs: list[str]) -> dict[str, Any]:
    return {"scenario": name, "topology": topology, "needs": needs}


def test_a_cell_gets_a_partner_that_can_do_what_it_needs() -> None:
    scenarios = [wish("a"), wish("b", bob=["sips"]), wish("c", bob=["hold"]), wish("d", bob=["zrtp"]), wish("e", "check", carol=["sips"])]
    groups = partners(USER_AGENT, "initech").first(scenarios)
    found = {each["scenario"]: group.bound for group in groups for each in group.scenarios}
    assert {name: str(bound["bob"].vendor) for name, bound in found.items()} == dict(a="acme", b="globex", c="acme", d="acme", e="globex")
    assert found["e"]["carol"] == chosen("globex")
    assert all(bound["alice"] == chosen("initech") and "pa" not in bound for bound in found.values())


def test_a_cell_that_a_partner_failed_is_repeated_with_the_next_until_nobody_is_left() -> None:
    choice = partners(USER_AGENT, "initech")
    scenarios = [wish("a"), wish("b"), wish("c", bob=["sips"])]
    choice.first(scenarios)
    cells = [cell("a", Status.FAIL, "x", "bob"), cell("b", Status.FAIL, "x", "alice"), cell("c", Status.FAIL, "x", "bob")]
    (again,) = choice.again(scenarios, cells)
    assert ([each["scenario"] for each in again.scenarios], again.bound["bob"]) == (["a"], chosen("globex"))
    (last,) = choice.again(scenarios, cells)
    assert last.bound["bob"] == chosen("initech")
    assert choice.again(scenarios, cells) == []


def test_a_proxy_gets_another_proxy_and_user_agents_each_by_its_own_needs() -> None:
    choice = partners(PROXY, "umbrella")
    scenarios = [wish("a", pa=["tls"], alice=["hold"], bob=["tcp"])]
    (group,) = choice.first(scenarios)
    assert {name: each.vendor for name, each in group.bound.items()} == dict(pa="umbrella", pb="tyrell", alice="acme", bob="acme")
    (again,) = choice.again(scenarios, [cell("a", Status.FAIL, "x", "pb")])
    assert {name: each.vendor for name, each in again.bound.items()} == dict(pa="umbrella", pb="umbrella", alice="acme", bob="acme")


def test_beyond_the_trapezoid_other_servers_are_the_topologys() -> None:
    (group,) = partners(PROXY, "umbrella").first([wish("a", "rogue-dns")])
    assert {name: each.vendor for name, each in group.bound.items()} == dict(pa="umbrella", alice="acme", bob="acme", carol="acme")
    (group,) = partners(PROXY, "tyrell").first([wish("a", "trapezoid-3")])
    assert group.bound["pt"] == chosen("tyrell")
    assert "pa" not in group.bound


@pytest.mark.collects
def test_a_pairing_says_which_topology_it_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    check = Check("kamailio", [], "", "proxy", ["routes", "asserted-identity"])
    ids = [check._binding(group).id for group in check._groups]
    assert len(set(ids)) == len(ids)
    assert {each.partition("--")[0] for each in ids} == {"voicemail-ivr", "pstn-gateway"}


def test_a_partner_declares_what_the_topology_needs_of_its_element() -> None:
    choice = partners(USER_AGENT, "initech")
    trapezoid = choice.topologies["trapezoid"]
    bob = trapezoid.elements["bob"].model_copy(update={"needs": ("sips",)})
    choice.topologies = {**choice.topologies, "trapezoid": trapezoid.model_copy(update={"elements": {**trapezoid.elements, "bob": bob}})}
    (group,) = choice.first([wish("a")])
    assert group.bound["bob"] == chosen("globex")


VALID: dict[str, Any] = {
    **dict(account="a1", call="c1", aor="sip:a@b.example", username="a", password="b", proxy="sip:b.example", transport="udp", media="rtp"),
    **dict(target="sip:c@d.example", contact="sip:c@d.example", code=486, digits="1", body="", package="x", tone_hz=440, seconds=1),
}


def test_trials_leave_no_parameter_out() -> None:
    whole = {(m, name) for m, members in METHODS.items() for name in members}
    assert {(t.method, t.member) for t in bad_parameters(VALID, frozenset(ADDED.values()))} == whole
    trials = list(bad_parameters(VALID, frozenset()))
    assert {(t.method, t.member) for t in trials} == whole - ADDED.keys(), "an older agent ignores what it does not know"
    assert any(t.member == "code" and t.params.get("code") == 10**9 for t in trials)
    assert any(t.member not in t.params for t in trials)
    hold_ = next(t for t in trials if t.method == "call.hold")
    assert hold_.codes == ("bad-params", "unsupported")
    assert next(t for t in bad_parameters(VALID, frozenset({"hold"})) if t.method == "call.hold").codes == ("bad-params",)
    assert {t.codes[0] for t in unknown_ids(VALID, frozenset())} == {"unknown-call", "unknown-account"}


class Client:
    def __init__(self, code: str = "", message: str = "") -> None:
        self.code, self.message = code, message

    def request(self, method: str, **params: object) -> dict[str, object]:
        if self.code:
            raise AgentError(self.message, element="alice", code=self.code)
        return {}


def test_answers_to_trials_are_judged() -> None:
    trial = Trial("call.bye", {"call": 7}, "call", ("bad-params",))
    assert refuse(Client("bad-params", "call must be a string"), trial) == ""  # type: ignore[arg-type]
    assert "does not name call" in refuse(Client("bad-params", "no"), trial)  # type: ignore[arg-type]
    assert "answered vendor" in refuse(Client("vendor", "no"), trial)  # type: ignore[arg-type]
    assert refuse(Client(), trial) == "call.bye with call=7: accepted"  # type: ignore[arg-type]
    with pytest.raises(AgentError):
        refuse(Client("fault", "silence"), trial)  # type: ignore[arg-type]
    with pytest.raises(StepFailed, match=r"a; b; c \(and 1 more\)"):
        hold("alice", "x", ["a", "b", "c", "d"])
    hold("alice", "x", [])


class Channel:
    """Writes its lines when it is asked for the first time."""

    def __init__(self, *lines: bytes) -> None:
        self._lines = lines
        self._asked = threading.Event()

    def send(self, line: bytes) -> None:
        self._asked.set()

    def lines(self) -> Iterator[bytes]:
        self._asked.wait(5)
        yield from self._lines

    def close(self) -> None:
        pass


def test_a_talk_keeps_what_is_wrong() -> None:
    talk = Talk("alice", Channel(json.dumps({"id": 1, "result": {}}).encode(), b"segmentation fault"))
    assert talk.request("hello", within=2.0)["result"] == {}
    with pytest.raises(StepFailed, match="segmentation fault"):
        talk.request("hello", within=2.0)
    with pytest.raises(StepFailed, match="on its output: not JSON"):
        talk.nothing_wrong()


def test_an_output_that_the_engine_lost_is_not_the_agents_silence() -> None:
    class Lost(Channel):
        def lines(self) -> Iterator[bytes]:
            yield from ()
            raise RuntimeFault("connection to the engine lost")

    with pytest.raises(RuntimeFault, match="alice: hello: its output broke off: connection to the engine lost"):
        Talk("alice", Lost()).request("hello", within=30)
