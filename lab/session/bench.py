"""A pairing's lab: brought up once, used by every scenario, taken down with its evidence saved."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from lab.agents.client import HELLO_WITHIN, AgentClient
from lab.agents.control import ServerControl
from lab.errors import AgentError, LabError, RuntimeFault
from lab.evidence.capture import Capture
from lab.plan.binding import Binding
from lab.plan.build import make_plan
from lab.plan.model import Element, Plan
from lab.render.files import Rendering, render
from lab.render.pki import Authority
from lab.runtime.base import Attachment, ContainerSpec, FileContent, Runtime
from lab.runtime.image_source import Key
from lab.runtime.impairment import Impairment, impair
from lab.runtime.labels import Identity
from lab.runtime.lease import Lease, lease_networks
from lab.runtime.namespace import settle
from lab.runtime.parallel import run_all, run_each
from lab.runtime.reaper import Watchdog, ending, remove_lab
from lab.runtime.seal import verify_sealed
from lab.session.discovery import Discovery, Ground
from lab.session.element import LogTap, how_it_ended, strain_on, version_of, wait_ready
from lab.session.ground import impaired, prove_seal, put_impairments, requests, start_helper
from lab.session.record import fetch_logs, write_plan
from lab.session.spare import Spare, start_spare
from lab.session.vendors import HELPER, render_vendors
from lab.spec.topology import Topology
from lab.spec.vendor import Vendor
from lab.verdict.decide import one_line

STEP_WITHIN = 60.0
"""Seconds for each stage of going up or down."""
STOPPED_WITHIN = 10.0
"""Seconds in which the engine has to tell that an element has ended which a scenario ended."""
LAST_WORDS = 0.3
"""Seconds between what an element should not have said and its end by our hand."""
KEYS = "/var/lib/siplab/keys"
CONTRACT = 1


@dataclass(frozen=True)
class Setup:
    """What a pairing is made of. `images` maps (vendor, flavour) to the tag that runs, `folder` is where its evidence goes."""

    root: Path
    topology: Topology
    binding: Binding
    vendors: Mapping[str, Vendor]
    images: Mapping[Key, str]
    folder: Path
    run: str = ""
    seed: int = 1
    folders: Mapping[str, Path] = field(default_factory=dict)


class Bench:
    """The running lab. Not for scenarios: they get a `Lab`."""

    plan: Plan
    capture: Capture

    def __init__(self, setup: Setup, runtime: Runtime) -> None:
        self.setup = setup
        self.runtime = runtime
        self.identity = Identity(run=setup.run)
        self.handles: dict[str, str] = {}
        self.agents: dict[str, AgentClient] = {}
        self.servers: dict[str, ServerControl] = {}
        self.versions: dict[str, str] = {}
        self.ended: dict[str, str] = {}
        self.stopped: dict[str, bool] = {}
        self._lives: dict[str, int] = {}
        self._logs: dict[str, LogTap] = {}
        self._made: dict[str, tuple[ContainerSpec, dict[str, FileContent]]] = {}
        self._spares = 0
        self._leases: tuple[Lease, ...] = ()
        self._watchdog: Watchdog | None = None
        self._helper = ""
        self._about: dict[str, object] = {}
        self._capture_started = False
        self._stages: dict[str, float] = {}
        self._used: dict[str, dict[str, float]] = {}

    # -- up ----------------------------------------------------------------------------------------------------------------------

    def up(self) -> None:
        """Everything started, sealed, captured and ready; on any error nothing is left behind."""
        begun = time.monotonic()
        self.setup.folder.mkdir(parents=True, exist_ok=True)
        self._watchdog = Watchdog(self.identity.lab)
        try:
            self._up()
        except BaseException as error:
            self._about["error"] = str(error)
            self.down()
            raise
        self._write_about(up_seconds=round(time.monotonic() - begun, 2), stages=self._stages)

    def _up(self) -> None:
        setup = self.setup
        self._leases = lease_networks(self.runtime, self.identity, requests(setup.topology))
        leased = {lease.name: (lease.ipv4, lease.ipv6) for lease in self._leases}
        self.plan = make_plan(setup.topology, setup.binding, setup.vendors, seed=setup.seed, leases=leased)
        rendering = render(self.plan, render_vendors(setup.root, setup.vendors, setup.folders), Authority())
        write_plan(setup.folder, self.plan, rendering)
        volume = self.runtime.create_volume(self.identity.name("keys"), self.identity.labels())
        tasks: dict[str, Callable[[], object]] = {e.name: partial(self._create, e, rendering, volume) for e in self.plan.elements}
        self._run("create", {HELPER: partial(self._start_helper, volume), **tasks})
        waves = self.plan.waves()
        with self._discovery() as discovery:
            for number, wave in enumerate(waves):
                self._run("start", {element.name: partial(self._start, element) for element in wave})
                ready: dict[str, Callable[[], object]] = {element.name: partial(self._ready, element) for element in wave}
                capture = {"capture": self._start_capture} if number == 0 else {}
                proof = {"seal": self._verify_seal, **discovery} if number == len(waves) - 1 else {}
                self._run("ready", {**ready, **capture, **proof})
        if networks := impaired(self.plan, self._leases):
            self._run("impair", {"networks": partial(self._impair, networks)})

    def _impair(self, networks: list[Impairment]) -> None:
        """Last of all: what came up on a bad network would tell nothing. Kept as `impaired`: what was measured."""
        about = put_impairments(self.runtime, self.identity, self._helper_image, self._helper, networks, self.plan, self.handles)
        self._about["impaired"] = about

    @contextmanager
    def _discovery(self) -> Iterator[dict[str, Callable[[], object]]]:
        """What there is to prepare while elements become ready; afterwards all NATs are measured: kept as `nats`."""
        if not self.plan.with_role("nat"):
            yield {}
            return
        leases = {lease.name: lease for lease in self._leases}
        with closing(Discovery(Ground(self.runtime, self.identity, self._helper_image, self.plan, leases))) as discovery:
            yield {"discovery": discovery.prepare}
            self._run("discover", {"nats": lambda: self._about.update(nats=discovery.measure())})

    def _verify_seal(self) -> None:
        proof = prove_seal(self.runtime, self.identity, self._helper_image, self._helper, self._leases, self.plan, self.handles)
        self._about["sealed"] = {"bridges": proof.bridges, "probed": proof.probed}

    def _run(self, doing: str, tasks: dict[str, Callable[[], object]]) -> None:
        begun = time.monotonic()
        run_all(doing, tasks, timeout=STEP_WITHIN)
        self._stages[doing] = round(self._stages.get(doing, 0.0) + time.monotonic() - begun, 2)

    @property
    def _helper_image(self) -> str:
        return self.setup.images[(HELPER, self.setup.vendors[HELPER].default)]

    def _start_helper(self, volume: str) -> None:
        forwards = bool(self.plan.with_role("nat") or impaired(self.plan, self._leases))
        volumes = {volume: (KEYS, False)}
        started = start_helper(self.runtime, self.identity, self._helper_image, volumes, self._leases, forwards=forwards)
        self._helper, self._about["forwarding"] = started

    def _start_capture(self) -> None:
        """A bridge carries frames, and so the capture's marks, from its first element on; nobody speaks SIP before being told to."""
        bridges = [lease.spec.bridge for lease in self._leases]
        self.capture = Capture(self.runtime, self._helper, bridges, self.setup.folder, self.plan, on_flood=self.end)
        self.capture.start()
        self._capture_started = True

    def _vendor(self, element: Element) -> Vendor:
        return self.setup.vendors[element.vendor].playing(element.role)

    def _create(self, element: Element, rendering: Rendering, volume: str) -> None:
        vendor = self._vendor(element)
        networks = {lease.name: lease.spec.name for lease in self._leases}
        spec = ContainerSpec(
            name=self.identity.name(element.name),
            image=self.setup.images[(element.vendor, element.flavour)],
            networks=tuple(Attachment(networks[i.network], str(i.ipv4 or ""), str(i.ipv6 or "")) for i in element.interfaces),
            command=vendor.command or None,
            environment=rendering.environment[element.name],
            capabilities=vendor.capabilities,
            volumes={volume: (KEYS, True)} if vendor.keylog else {},
            sysctls=rendering.sysctls[element.name],
            labels=self.identity.labels(element=element.name),
            stdin=bool(vendor.ready.agent),
            memory_mb=vendor.memory_mb,
            pids=vendor.pids,
        )
        self._made[element.name] = spec, {path: FileContent(file.data, file.mode) for path, file in rendering.files[element.name].items()}
        self._place(element.name)

    def _place(self, name: str) -> None:
        spec, files = self._made[name]
        handle = self.handles[name] = self.runtime.create(spec)
        self.runtime.put(handle, files)

    def _start(self, element: Element) -> None:
        handle, vendor = self.handles[element.name], self._vendor(element)
        channel = self.runtime.attach(handle) if vendor.ready.agent else None
        self.runtime.start(handle)
        if element.settling:
            settle(self.runtime, self.identity, self._helper_image, element.name, handle, element.settling)
        stream = self.runtime.follow_logs(handle)
        end = partial(self.end, element.name)
        self._logs[element.name] = LogTap(stream.chunks, self.setup.folder / "logs" / f"{self._life(element.name)}.txt", on_flood=end)
        if channel is not None:
            self.agents[element.name] = AgentClient(element.name, channel, on_breach=end)
        self.servers[element.name] = ServerControl(element.name, vendor.control, partial(self._exec, handle))

    def _exec(self, handle: str, argv: list[str]) -> tuple[int, str]:
        result = self.runtime.exec(handle, tuple(argv))
        return result.exit_code, (result.stdout + result.stderr).decode("utf-8", "replace")

    def _ready(self, element: Element) -> None:
        vendor, handle = self._vendor(element), self.handles[element.name]
        hello = partial(self._hello, element) if vendor.ready.agent else None
        try:
            wait_ready(self.runtime, element, handle, vendor.ready, self._logs[element.name], hello)
        except AgentError as error:
            if why := self.ended.get(element.name):
                raise AgentError(f"{element.name} ({element.vendor}@{element.flavour}): {why}", element=element.name) from error
            raise
        if not vendor.ready.agent:
            self.versions[element.name] = version_of(self.runtime, element, handle, vendor)

    def _hello(self, element: Element) -> None:
        answer = self.agents[element.name].request("hello", within=HELLO_WITHIN)
        if answer.get("contract") != CONTRACT:
            raise AgentError(f"speaks contract {answer.get('contract')!r}, the lab speaks {CONTRACT}", element=element.name)
        self.versions[element.name] = one_line(f"{answer.get('vendor')} {answer.get('version')}", 120)
        self.agents[element.name].reset()

    # -- while it runs -----------------------------------------------------------------------------------------------------------

    def dead(self) -> dict[str, str]:
        """Elements that no longer live, though nobody wanted them to end, and how they ended. RuntimeFault where the engine lost sight of
        one that does."""
        found = dict(self.ended)
        for name, log in self._logs.items():
            if name in found or self._is_down(name):
                continue
            agent = self.agents.get(name)
            if log.ended.is_set() or (agent is not None and agent.dead):
                how = how_it_ended(self.runtime.state(self.handles[name]))
                if not how and (broken := log.broken or (agent.broken if agent else "")):
                    raise RuntimeFault(f"{name} runs, but its output broke off: {broken}")
                found[name] = how or (agent.dead if agent and agent.dead else "its output ended")
        return found

    def end(self, element: str, why: str) -> None:
        """Kill an element that floods or breaks the contract: every second that it goes on is taken from others.

        One that was about to end anyway is let: how it ended says more.
        """
        if self._logs[element].ended.wait(LAST_WORDS):
            return
        self.ended.setdefault(element, why)
        with suppress(RuntimeFault):  # it has ended by itself meanwhile
            self.runtime.kill(self.handles[element])

    def stop(self, element: str) -> None:
        """End an element in the middle of everything, without a word to anybody (SIGKILL): it is none of the `dead`, and this lab serves no
        scenario after this one. AgentError where it had ended before, LabError where it does not end, ValueError where it is stopped."""
        if self._is_down(element):
            raise ValueError(f"{element} is stopped already")
        if how := self.dead().get(element):
            raise AgentError(f"{element} {how}, before the scenario stopped it", element=element, code="fault")
        handle = self.handles[element]
        self.stopped[element] = True
        self._about["stopped"] = sorted(self.stopped)
        self.runtime.kill(handle)
        if not self._logs[element].ended.wait(STOPPED_WITHIN) or self.runtime.state(handle).running:
            raise LabError(f"{element} still runs {STOPPED_WITHIN:g} s after it was killed", remedy="run `siplab doctor`")

    def start(self, element: str) -> None:
        """Bring a server back that `stop` ended: a new container like the first, at its addresses and with its files, so that all it had in
        memory and on its disk is gone. Ready, and the networks sealed, when this returns. AgentError where it is not ready in time,
        RuntimeFault where it cannot be made; KeyError or ValueError where the scenario asks for what cannot be."""
        planned = self.plan.element(element)
        if not self._is_down(element):
            raise ValueError(f"{element} is not stopped: only what lab.stop() has ended can be started")
        if self._vendor(planned).ready.agent:
            raise ValueError(f"{element} has an agent, and its identity is gone with it: only servers can be started again")
        self._fetch_logs(element)
        self._logs[element].join(STOPPED_WITHIN)
        self.runtime.remove(self.handles[element])
        self._lives[element] = self._lives.get(element, 1) + 1
        self._place(element)
        self._start(planned)
        self.stopped[element] = False
        self._about["started"] = dict(self._lives)
        self._ready(planned)
        if networks := impaired(self.plan, self._leases):
            impair(self.runtime, self._helper, self.identity, networks)
        verify_sealed(self.runtime, self._helper, self._leases)

    def _is_down(self, element: str) -> bool:
        """Has the scenario ended it, and not started it again?"""
        return self.stopped.get(element, False)

    def lap(self) -> None:
        """A scenario begins: what the elements put out counts from here."""
        for log in self._logs.values():
            log.lap()
        self.capture.lap()

    def strain(self, element: str) -> str:
        """Which of its limits an element that runs has reached, for the reason of its failure; empty where none."""
        return strain_on(self.runtime, self.handles[element], self._made[element][0])

    def log_tail(self, element: str) -> str:
        """The last log lines of an element; empty where there is none of that name."""
        return self._logs[element].tail() if element in self._logs else ""

    def pulse(self) -> None:
        """RuntimeFault where the engine no longer has the lab's helper running: proof that comes from nowhere is none."""
        if not self.runtime.state(self._helper).running:
            raise LabError("the lab's helper container has ended: nothing is captured any more")

    def spare(self, element: str) -> Spare:
        """Another container of a user agent, on the lab's first network, for trials that it does not survive."""
        self._spares += 1
        return start_spare(self.runtime, self.identity, self._leases[0], *self._made[element], self._spares)

    @property
    def networks(self) -> dict[str, str]:
        """The topology's networks by the names that the engine knows them by."""
        return {lease.name: lease.spec.name for lease in self._leases}

    def guests(self) -> list[tuple[str, str]]:
        """Containers of other people that are on the lab's networks, each with the network. They do not keep it from going down."""
        return [(guest, lease.spec.name) for lease in self._leases for guest in self.runtime.guests(lease.handle)]

    # -- down --------------------------------------------------------------------------------------------------------------------

    def down(self) -> None:
        """Save what can be saved, remove everything. Errors while saving never keep anything from being removed."""
        begun = time.monotonic()
        try:
            problems = self._save()
        except (LabError, OSError) as error:
            problems = {"saving": str(error)}
        finally:
            for agent in self.agents.values():
                agent.close()
            remove_lab(self.runtime, self.identity.selector)
            if self._watchdog is not None:
                self._watchdog.dismiss()
            for log in self._logs.values():
                log.join(2.0)
        self._write_about(down_seconds=round(time.monotonic() - begun, 2), problems=problems, used=self._used)

    def _save(self) -> dict[str, str]:
        ends: dict[str, str] = {}
        errors = run_each({"deaths": lambda: ends.update(self.dead())}, timeout=STEP_WITHIN)
        self._about["ended_early"] = ends
        alive = {name: handle for name, handle in {HELPER: self._helper, **self.handles}.items() if handle and name not in ends}
        alive = {name: handle for name, handle in alive.items() if not self._is_down(name)}
        run_each({f"usage {name}": partial(self._measure, name, handle) for name, handle in alive.items()}, timeout=STEP_WITHIN)
        tasks: dict[str, Callable[[], object]] = {f"shutdown {name}": partial(agent.shutdown, 6.0) for name, agent in self.agents.items()}
        errors |= run_each(tasks, timeout=STEP_WITHIN, workers=ending(self.runtime))
        tasks = {f"logs {name}": partial(self._fetch_logs, name) for name in self.handles}
        errors |= run_each(tasks, timeout=STEP_WITHIN)
        if self._capture_started:
            errors |= run_each({"capture": self.capture.stop}, timeout=STEP_WITHIN)
            self._about["capture_dropped"] = self.capture.dropped
        return {name: str(error) for name, error in errors.items()}

    def _measure(self, name: str, handle: str) -> None:
        used = self.runtime.usage(handle)
        self._used[name] = {"cpu_seconds": round(used.cpu_seconds, 2), "memory_mb": round(used.memory_mb, 1)}

    def _fetch_logs(self, name: str) -> None:
        paths, folder = self._vendor(self.plan.element(name)).logs, self.setup.folder / "logs" / self._life(name)
        fetch_logs(self.runtime, self.handles[name], paths, folder)

    def _life(self, name: str) -> str:
        """What the logs of an element are called: from its second life in one lab on with a number."""
        return f"{name}-{self._lives[name]}" if name in self._lives else name

    def _write_about(self, **members: object) -> None:
        used = {name: self.setup.images.get((s.vendor, s.flavour), "") for name, s in self.setup.binding.selections.items()}
        self._about |= members
        about = {
            "lab": self.identity.lab,
            "topology": self.setup.topology.name,
            "binding": {name: str(selection) for name, selection in self.setup.binding.selections.items()},
            "images": used,
            "versions": dict(sorted(self.versions.items())),
            "subnets": {lease.name: [str(subnet) for subnet in (lease.ipv4, lease.ipv6) if subnet] for lease in self._leases},
            **self._about,
        }
        written = self.setup.folder / ".pairing.json"
        written.write_text(json.dumps(about, indent=2, default=str) + "\n")
        written.replace(self.setup.folder / "pairing.json")  # as a whole: another pairing's end has all reports written meanwhile
