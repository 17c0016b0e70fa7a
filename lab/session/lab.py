"""What a scenario holds: user agents by name, the wire since the scenario began, and a few questions about both sides at once."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from lab.agents.attacker import Attacker
from lab.agents.call import ECHO, Call, Ears
from lab.agents.control import ServerControl
from lab.agents.driven import Driven
from lab.agents.name_server import NameServer
from lab.agents.step import Outcome
from lab.agents.trunk import Trunk
from lab.agents.user_agent import Identity, UserAgent
from lab.errors import EvidenceError
from lab.evidence.audio import hears, lingers, read_wav
from lab.evidence.sound import Sound
from lab.evidence.wire import Wire
from lab.plan.control import MISBEHAVE
from lab.plan.model import Element, Plan, host
from lab.plan.nat import predicted_pair
from lab.runtime.parallel import run_all
from lab.session.bench import Bench
from lab.session.spare import Spare

SIP_PORT = 5060
"""RFC 3261 §18.1.1: where a gateway listens for the telephone network."""
RELAY_PORT = 3478
"""RFC 8489 §18.6."""
TLS_RELAY_PORT = 443
TOLERATED = 0.16
"""Seconds of a tone from which on it is there, and no rest of what was on its way when it ended."""


class Lab:
    """One scenario's view of a bench. `folder` takes what belongs to this cell."""

    def __init__(self, bench: Bench, scenario: str, folder: Path) -> None:
        self._bench = bench
        self.scenario = scenario
        self.folder = folder
        self._ears = Ears(fetch=self._fetch, judge=self._judge, holds=self._holds, mix=mixed, keep=self._keep)
        self._agents = {e.name: self._make(e) for e in bench.plan.with_role("user-agent")}
        self._trunks = {e.name: self._make_trunk(e) for e in bench.plan.with_role("trunk")}
        self._attackers = {e.name: Attacker(bench.agents[e.name]) for e in bench.plan.with_role("attacker") if e.name in bench.agents}
        addresses = {e.name: {str(address) for place in e.interfaces for address in place.addresses} for e in bench.plan.elements}
        self._name_servers = [NameServer(bench.agents[e.name], addresses) for e in bench.plan.with_role("dns") if e.name in bench.agents]
        servers = {server.client.element: server for server in self._name_servers}
        self._surroundings: dict[str, Driven] = {**self._attackers, **servers}
        self._driven: dict[str, Driven] = {**self._talkers, **self._surroundings}
        self._wire: Wire | None = None
        self.begun = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)

    # -- for scenarios -----------------------------------------------------------------------------------------------------------

    @property
    def plan(self) -> Plan:
        """Addresses, names and tones of this lab."""
        return self._bench.plan

    def user_agent(self, name: str) -> UserAgent:
        """A user agent by its name in the topology; KeyError where there is none."""
        return self._agents[name]

    @property
    def trunk(self) -> Trunk:
        """The telephone network behind the gateway; KeyError where the topology has none."""
        for trunk in self._trunks.values():
            return trunk
        raise KeyError("no element with the role trunk")

    def attacker(self, name: str) -> Attacker:
        """An element that answers as told, silent at the begin of every scenario; KeyError where there is none of that name."""
        return self._attackers[name]

    def server(self, name: str) -> ServerControl:
        """The control commands of a server element."""
        return self._bench.servers[name]

    @property
    def name_server(self) -> NameServer:
        """The lab's DNS, to be told what to answer; every scenario begins with the truth."""
        return self._name_servers[0]

    def relay(self, transport: str = "udp") -> dict[str, Any]:
        """Members of an account that uses the lab's STUN and TURN server: over UDP, or the relay alone: over TCP, or by name over TLS to
        the port that is open where nothing else is. KeyError where the topology has none.
        """
        for server in self.plan.with_role("turn"):
            place = f"{server.hostname}:{TLS_RELAY_PORT}" if transport == "tls" else f"{server.host}:{RELAY_PORT}"
            secret = {f"turn_{name}": str(server.options[name]) for name in ("username", "password")}
            stun = {"stun": f"stun:{place}"} if transport == "udp" else {}
            return {**stun, "turn": f"turn:{place};transport={transport}", **secret}
        raise KeyError("no element with the role turn")

    def traversal(self, element: str, relay: str = "udp") -> dict[str, Any]:
        """Members of an account that uses ICE, with STUN and TURN as far as the element's vendor declares them (`relay` as in `relay`)."""
        declared, all_ = self.declares(element), self.relay(relay)
        wanted = {"stun": ("stun",), "turn": ("turn", "turn_username", "turn_password")}
        return {"ice": True, **{key: all_[key] for name, keys in wanted.items() if name in declared for key in keys if key in all_}}

    def predicted_pair(self, one: str, other: str) -> tuple[str, str] | None:
        """Types of the candidates that media of these two should run between (RFC 8445); None: a relay. It follows from their NATs."""
        return predicted_pair(self.plan, one, other)

    def version(self, element: str) -> str:
        """What the version command of an element printed; empty where its manifest names none."""
        vendor = self._bench.setup.vendors[self.plan.element(element).vendor]
        return self._bench.versions.get(element, "") if vendor.version else ""

    @property
    def wire(self) -> Wire:
        """Everything captured since the scenario began. Each view taken of it reaches up to that instant, so keep a view in a variable."""
        if self._wire is None:
            raise EvidenceError("the scenario has not begun: there is no wire yet")
        return self._wire

    def talking(self, first: Call, second: Call, within: float = 4.0) -> Outcome:
        """Both sides of a call hear the other's tone; media may start late, but has to come within `within` seconds."""
        tones = {name: agent.tone for name, agent in self._talkers.items()}
        with ThreadPoolExecutor(2) as pool:
            one = pool.submit(first.heard, tones[second.element], within=within)
            other = pool.submit(second.heard, tones[first.element], within=within)
            return one.result() and other.result()

    def answered_or_refused(self, callee: UserAgent, call: Call, within: float = 10.0) -> Call | None:
        """Answer the call if the callee is asked at all; None where it was refused before anybody could answer.

        For calls that must not come about: whether the callee rings first is the vendor's choice.
        """
        outcome = callee.incoming_or(call, within)
        if outcome is not None:
            outcome.try_answer()
        return outcome

    def fault_port(self, server: str, fault: str) -> int:
        """The port on which a server presents a certificate with this fault."""
        for listener in self.plan.element(server).listeners:
            if listener.certificate == fault:
                return listener.port
        raise KeyError(f"{server} presents no certificate with fault {fault}")

    def declares(self, element: str) -> frozenset[str]:
        """The capabilities that the manifest of an element's vendor names."""
        bound = self.plan.element(element)
        return self._bench.setup.vendors[bound.vendor].playing(bound.role).capabilities_of(bound.flavour)

    def spare(self, element: str) -> Spare:
        """Another container of a user agent, for trials that it does not survive; remove it when done."""
        return self._bench.spare(element)

    def stop(self, element: str) -> None:
        """End an element at once, without a word to anybody, as a host that fails. What others do then is for the scenario to see; the next
        one gets a fresh lab. AgentError where it had ended by itself before."""
        self._bench.stop(element)

    def start(self, element: str) -> None:
        """Bring a server back that `stop` ended, as a host that was replaced: same addresses, same configuration, nothing in memory or on
        disk. It is ready when this returns. AgentError, with its last log lines, where it is not in time; ValueError where it was not
        stopped or has an agent, KeyError where there is none of that name."""
        self._bench.start(element)

    # -- for the session ---------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Every user agent and server as after start-up, and a mark in the capture from which the scenario's evidence counts.

        Name servers and attackers come first: a user agent that takes back its registration asks them where to, and one that is led to
        somebody silent goes on trying for Timer F, into the next scenario.
        """
        self._bench.lap()
        for resets in (self._surroundings, self._talkers, self._bench.servers):
            run_all("reset", {name: element.reset for name, element in resets.items()}, timeout=20)
        self._flush()
        self.observe()

    def observe(self) -> None:
        """The scenario's evidence counts from here, whatever the elements are in the middle of."""
        self._wire = Wire(self._bench.capture, self.scenario)
        self.begun = time.monotonic()

    def control(self, element: str, how: str) -> None:
        """Make one element wrong: `member=value` overrides what a user agent is told, anything else is a server's misbehaviour."""
        if element in self._agents:
            member, _, value = how.partition("=")
            agent = self._agents[element]
            agent.overrides[member] = _told(agent.identity, member, value)
        elif element in self._trunks:
            self._trunks[element].misbehave(how.removeprefix(MISBEHAVE))
        else:
            self.server(element).misbehave(how)

    def behave(self) -> None:
        """End all misbehaviour."""
        for server in self._bench.servers.values():
            server.behave()

    def events(self) -> list[Mapping[str, object]]:
        """All events that the agents reported, for the timeline."""
        return [
            {**event.data, "t": event.received, "element": name}
            for name, agent in self._driven.items()
            for event in agent.client.events.since(agent.began)
        ]

    def _flush(self) -> None:
        subscribers: dict[str, list[tuple[str, str]]] = {}
        for domain in self.plan.domains:
            for server in domain.servers:
                subscribers.setdefault(server, []).extend((account.username, domain.name) for account in domain.accounts)
        servers = self._bench.servers
        run_all("flush", {name: partial(servers[name].flush, *known) for name, known in subscribers.items()}, timeout=20)

    @property
    def _tones(self) -> tuple[int, ...]:
        return tuple(agent.tone for agent in self._talkers.values())

    @property
    def _talkers(self) -> dict[str, UserAgent | Trunk]:
        """Everybody who has a tone."""
        return {**self._agents, **self._trunks}

    def _make_trunk(self, element: Element) -> Trunk:
        own, door = trunk_ends(self.plan, element)
        return Trunk(self._bench.agents[element.name], own, door, element.tone_hz or 0, self._ears)

    def _make(self, element: Element) -> UserAgent:
        if element.account is None or element.tone_hz is None:
            raise EvidenceError(f"{element.name} is a user agent without an account")
        identity = Identity(
            aor=element.account.aor,
            username=element.account.username,
            password=element.account.password,
            tone_hz=element.tone_hz,
            proxies=proxy_uris(self.plan, element),
            entrances=self.plan.domain(element.account.domain).entrances,
            family=4 if element.ipv4 else 6,
        )
        return UserAgent(self._bench.agents[element.name], identity, self._ears)

    def _fetch(self, element: str, path: str) -> bytes:
        files = self._bench.runtime.fetch(self._bench.handles[element], path)
        if len(files) != 1:
            raise EvidenceError(f"{element}: recording {path} is not there")
        return next(iter(files.values()))

    def _judge(self, wav: bytes, tone_hz: int, seconds: float) -> tuple[bool, str]:
        report = hears(wav, tone_hz, min_seconds=seconds * 0.8, others=self._tones)
        return bool(report), report.what

    def _holds(self, wav: bytes, tone_hz: int) -> tuple[bool, str]:
        seconds = lingers(wav, tone_hz, others=self._tones)
        return seconds >= TOLERATED, f"{tone_hz} Hz for {seconds:.1f} s"

    def _keep(self, element: str, name: str, data: bytes) -> None:
        safe = re.sub(r"[^A-Za-z0-9._-]", "_", f"{element}-{name}")
        (self.folder / safe).write_bytes(data)


def mixed(wav: bytes, tones: Sequence[int], own: int, seconds: float) -> tuple[bool, str]:
    """Does a recording hold all these tones at once, for most of its length, and not the listener's own?"""
    samples, _ = read_wav(wav)
    heard = Sound("mixer", "ear", samples)
    echo, mix = heard.lacks(own), heard.mixes(tones, seconds=seconds * 0.6)
    return (mix.ok, mix.what) if echo.ok else (False, f"{ECHO}: {echo.what}")


def _told(identity: Identity, member: str, value: str) -> object:
    """What a negative control makes of a member of `account.add`: proxies have their names there."""
    if member == "proxies":
        return [identity.proxies[name] for name in value.split(",")]
    return identity.proxies[value] if member == "proxy" else value


def proxy_uris(plan: Plan, element: Element) -> dict[str, str]:
    """Next-hop URIs that a user agent can be told: its own proxy's by transport, and by fault for listeners with a faulty certificate. Its
    own is the one that it registers through: the first edge of its domain, where that has any.

    Those of every proxy are there with its name and `/` in front, too (`pb/udp`). With `address/` before the last part, the URI has the
    proxy's address (IPv4 where both have one) in place of the name that its certificate could be held against. `domain` is the user's
    domain without port and transport, `domain/tls` without port, for its zone to decide (RFC 3263 §4).
    """
    if element.account is None:
        return {}
    own = plan.domain(element.account.domain).entrances[0]
    domain = f"sip:{element.account.domain}"
    found = {"domain": domain, **{f"domain/{name}": f"{domain};transport={name}" for name in ("udp", "tcp", "tls")}}
    for proxy in (server for server in plan.elements if server.listeners):
        reached = _host(proxy, element)
        for listener in proxy.listeners:
            name = listener.transport if listener.hostname == proxy.hostname else str(listener.certificate)
            place = f"{listener.port};transport={listener.transport}"
            for whose in ("", f"{proxy.name}/") if proxy.name == own else (f"{proxy.name}/",):
                found[f"{whose}{name}"] = f"sip:{listener.hostname}:{place}"
                found[f"{whose}address/{name}"] = f"sip:{reached}:{place}"
    return found


def _host(server: Element, client: Element) -> str:
    """The server's published address as a URI has it, in a family that the client has, where there is one."""
    families = {address.version for address in client.addresses}
    return next((host(address) for address in server.addresses if address.version in families), server.host)


def trunk_ends(plan: Plan, trunk: Element) -> tuple[str, str]:
    """The address of a telephone network, and the URI at which its gateway takes calls: the first that is on a network of its own."""
    own, gateway = next(
        (own, interface)
        for other in plan.with_role("gateway")
        for interface in other.interfaces
        for own in trunk.interfaces
        if own.network == interface.network
    )
    return str(own.ipv4), f"sip:{gateway.ipv4}:{SIP_PORT};transport=udp"
