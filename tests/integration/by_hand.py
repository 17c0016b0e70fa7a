"""A rendered folder brought up by compose, and its elements talked to, as somebody would do it by hand."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.agents.call import Ears
from lab.agents.client import AgentClient
from lab.agents.user_agent import Identity, UserAgent
from lab.plan.addresses import Lease
from lab.plan.binding import pairings, parse_bindings
from lab.plan.build import make_plan
from lab.plan.model import Element, Plan
from lab.runtime.base import ContainerState
from lab.runtime.docker import DockerRuntime
from lab.runtime.lease import PRIVATE_POOL, Pool, host_routes
from lab.session.element import READY_WITHIN, LogTap, wait_ready
from lab.session.lab import proxy_uris
from lab.session.vendors import render_vendors
from lab.spec.catalog import load_topology, vendors

ROOT = Path(__file__).parents[2]
KNOWN = vendors(ROOT)
MANIFESTS = render_vendors(ROOT, KNOWN)
UP_WITHIN = 240.0


def make(name: str, bind: Sequence[str] = (), leases: dict[str, Lease] | None = None) -> Plan:
    topology = load_topology(name, ROOT)
    (binding,) = pairings(topology, parse_bindings(bind, topology, KNOWN), KNOWN)
    return make_plan(topology, binding, KNOWN, leases=leases)


def compose_command() -> tuple[str, ...]:
    """The plugin where it is there, else the program: never a skip, because then nothing would hold the compose file to what it says."""
    for command in (("docker", "compose"), ("docker-compose",)):
        try:
            if subprocess.run([*command, "version"], capture_output=True, timeout=60, check=False).returncode == 0:
                return command
        except FileNotFoundError:
            continue
    pytest.fail("neither `docker compose` nor `docker-compose` works: run .ci/compose (make test does)")


@dataclass(frozen=True)
class Compose:
    """A rendered folder under a project name of its own."""

    command: tuple[str, ...]
    project: str
    folder: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [*self.command, "-p", self.project, "-f", "compose.yaml", *arguments]
        return subprocess.run(argv, cwd=self.folder, capture_output=True, text=True, timeout=UP_WITHIN, check=False)

    def __call__(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, f"{' '.join(self.command)} {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    @property
    def labels(self) -> dict[str, str]:
        """What everything that it makes carries."""
        return {"com.docker.compose.project": self.project}


def free_subnets(engine: DockerRuntime, plan: Plan) -> dict[str, Lease]:
    """Subnets that no lab has now: compose creates the networks, so that they cannot be leased."""
    taken = [*engine.taken_subnets(), *host_routes()]

    def free(pool: Pool) -> list[Lease]:
        pairs = (pool.candidate(index) for index in random.sample(range(len(pool)), len(plan.networks) + 100))
        return [pair for pair in pairs if not any(o.overlaps(t) for o in pair for t in taken if o.version == t.version)]

    found = {private: free(pool) for private, pool in ((False, Pool()), (True, PRIVATE_POOL))}
    return {network.name: found[network.private].pop() for network in plan.networks}


@dataclass(frozen=True)
class ByHand:
    """What compose brings up."""

    plan: Plan
    engine: DockerRuntime
    compose: Compose
    logs: Path

    def handle(self, service: str) -> str:
        (found,) = [
            item.handle
            for item in self.engine.inventory({**self.compose.labels, "com.docker.compose.service": service})
            if item.kind == "container"
        ]
        return found

    def state(self, element: Element) -> ContainerState:
        return self.engine.state(self.handle(element.name))

    def wait_ready(self, element: Element) -> None:
        """By the same sign as in a lab: an agent says hello."""
        handle, ready = self.handle(element.name), KNOWN[element.vendor].playing(element.role).ready
        log = LogTap(self.engine.follow_logs(handle).chunks, self.logs / f"{element.name}.txt")
        wait_ready(self.engine, element, handle, ready, log, (lambda: self._hello(element)) if ready.agent else None)

    def wait_settled(self, element: Element) -> None:
        """The service beside it has put its routes, and has ended."""
        handle = self.handle(f"{element.name}-network")
        log = LogTap(self.engine.follow_logs(handle).chunks, self.logs / f"{element.name}-network.txt")
        assert log.ended.wait(READY_WITHIN), f"{element.name}-network goes on"
        assert self.engine.state(handle).exit_code == 0, log.tail()

    def _hello(self, element: Element) -> AgentClient:
        client = AgentClient(element.name, self.engine.attach(self.handle(element.name)))
        assert client.request("hello", within=READY_WITHIN)["contract"] == 1
        return client

    def attach(self, name: str) -> UserAgent:
        element = self.plan.element(name)
        assert element.account is not None
        assert element.tone_hz is not None
        account = element.account
        family = 4 if element.ipv4 else 6
        identity = Identity(account.aor, account.username, account.password, element.tone_hz, proxy_uris(self.plan, element), family)
        return UserAgent(self._hello(element), identity, _deaf())


def _deaf() -> Ears:
    def nothing(*_: object) -> bytes:
        raise AssertionError("nothing is recorded here")

    return Ears(fetch=nothing, judge=nothing, holds=nothing, mix=nothing, keep=nothing)  # type: ignore[arg-type]
