"""The rendered folder is up to date, and a lab comes up from it by compose alone: two people call each other by hand."""

from __future__ import annotations

import random
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
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
from lab.render.compose import check_dir, render_to_dir
from lab.render.pki import Authority
from lab.runtime.docker import DockerRuntime
from lab.runtime.lease import Pool, host_routes
from lab.session.element import LogTap, wait_ready
from lab.session.lab import proxy_uris
from lab.session.vendors import render_vendors
from lab.spec.catalog import load_topology, vendors

ROOT = Path(__file__).parents[2]
BIND = ("alice=baresip", "bob=linphone")
KNOWN = vendors(ROOT)
MANIFESTS = render_vendors(ROOT, KNOWN)
SIPLAB = (sys.executable, "-c", "from lab.cli import main; main()")
UP_WITHIN = 120.0


def plan(leases: dict[str, Lease] | None = None) -> Plan:
    topology = load_topology("trapezoid", ROOT)
    (binding,) = pairings(topology, parse_bindings(BIND, topology, KNOWN), KNOWN)
    return make_plan(topology, binding, KNOWN, leases=leases)


def test_the_rendered_folder_is_up_to_date():
    golden = ROOT / "compose" / "trapezoid"
    arguments = [word for text in BIND for word in ("--bind", text)]
    done = subprocess.run(
        [*SIPLAB, "render", "trapezoid", *arguments, "-o", str(golden), "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), f"run: siplab render trapezoid {' '.join(arguments)} -o compose/trapezoid"


def test_the_check_sees_a_change(tmp_path):
    render_to_dir(plan(), MANIFESTS, Authority(), tmp_path)
    assert check_dir(plan(), MANIFESTS, tmp_path) == ()
    with (tmp_path / "compose.yaml").open("a") as file:
        file.write("# changed by hand\n")
    (tmp_path / "pa" / "etc" / "kamailio" / "kamailio.cfg").unlink()
    assert [line.split(":")[0] for line in check_dir(plan(), MANIFESTS, tmp_path)] == ["differs", "missing"]


# -- by hand -------------------------------------------------------------------------------------------------------------------------------


def compose_command() -> list[str]:
    """The plugin where it is there, else the program: never a skip, because then nothing would hold the compose file to what it says."""
    for command in (["docker", "compose"], ["docker-compose"]):
        try:
            if subprocess.run([*command, "version"], capture_output=True, timeout=30, check=False).returncode == 0:
                return command
        except FileNotFoundError:
            continue
    pytest.fail("neither `docker compose` nor `docker-compose` works: run .ci/compose (make test does)")


@dataclass(frozen=True)
class Compose:
    """A rendered folder under a project name of its own."""

    command: tuple[str, ...]
    folder: Path

    def __call__(self, *arguments: str) -> str:
        done = subprocess.run([*self.command, *arguments], cwd=self.folder, capture_output=True, text=True, timeout=UP_WITHIN, check=False)
        assert done.returncode == 0, f"{' '.join(self.command)} {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout


def free_subnets(engine: DockerRuntime, plan: Plan) -> dict[str, Lease]:
    """Subnets that no lab has now: compose creates the networks, so that they cannot be leased."""
    taken = [*engine.taken_subnets(), *host_routes()]
    pool = Pool()
    pairs = (pool.candidate(index) for index in random.sample(range(len(pool)), len(pool)))
    free = (pair for pair in pairs if not any(o.overlaps(t) for o in pair for t in taken if o.version == t.version))
    return {network.name: next(free) for network in plan.networks}


@dataclass(frozen=True)
class ByHand:
    """What compose brought up."""

    plan: Plan
    engine: DockerRuntime
    handles: dict[str, str]

    def wait_ready(self, element: Element, log: Path) -> None:
        """A server; a user agent is ready when it says hello."""
        handle = self.handles[element.name]
        tap = LogTap(self.engine.follow_logs(handle).chunks, log)
        wait_ready(self.engine, element, handle, KNOWN[element.vendor].ready, tap, None)

    def attach(self, name: str) -> UserAgent:
        element = self.plan.element(name)
        assert element.account is not None
        assert element.tone_hz is not None
        client = AgentClient(name, self.engine.attach(self.handles[name]))
        assert client.request("hello", within=30)["contract"] == 1
        account = element.account
        identity = Identity(account.aor, account.username, account.password, element.tone_hz, proxy_uris(self.plan, element))
        return UserAgent(client, identity, _deaf())


def _deaf() -> Ears:
    def nothing(*_: object) -> bytes:
        raise AssertionError("nothing is recorded here")

    return Ears(fetch=nothing, judge=nothing, mix=nothing, keep=nothing)  # type: ignore[arg-type]


@pytest.fixture
def compose(tmp_path) -> Iterator[Callable[[Plan], Compose]]:
    """Renders a plan; whatever came up of it is taken down."""
    command = compose_command()
    made: list[Compose] = []

    def render(plan: Plan) -> Compose:
        folder = tmp_path / "rendered"
        render_to_dir(plan, MANIFESTS, Authority(), folder)
        project = f"slt-compose-{secrets.token_hex(4)}"
        made.append(Compose((*command, "-p", project, "-f", "compose.yaml"), folder))
        return made[-1]

    yield render
    for compose in made:
        compose("down", "-v", "--timeout", "6")


@pytest.mark.docker
def test_a_call_by_hand(compose, tmp_path):
    engine = DockerRuntime()
    made = plan(free_subnets(engine, plan()))
    up = compose(made)
    up("config", "-q")
    up("up", "-d")
    handles = {element.name: up("ps", "-q", element.name).strip() for element in made.elements}
    assert all(handles.values())
    lab = ByHand(made, engine, handles)
    for server in made.with_role("proxy"):
        lab.wait_ready(server, tmp_path / f"{server.name}.txt")

    alice, bob = lab.attach("alice"), lab.attach("bob")
    alice.register(transport="tls", media="sdes")
    bob.register(transport="tls", media="sdes")
    outgoing = alice.invite(bob.aor)
    incoming = bob.expect_invite()
    incoming.answer()
    assert outgoing.established()
    assert incoming.established()
    outgoing.bye()
    assert outgoing.ended()
    assert incoming.ended()

    names = [item.name for item in engine.inventory({"com.docker.compose.project": up.command[up.command.index("-p") + 1]})]
    assert len([name for name in names if name]) == len(made.elements) + len(made.networks) + 1
