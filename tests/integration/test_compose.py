"""The rendered folder is up to date, and labs come up from such folders by compose alone: people register and call by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from by_hand import MANIFESTS, ROOT, ByHand, Compose, compose_command, free_subnets, make
from lab_home import siplab

from lab.render.compose import check_dir, render_to_dir
from lab.render.pki import Authority
from lab.runtime.docker import DockerRuntime
from lab.runtime.forwarding import open_forwarding
from lab.runtime.labels import Identity
from lab.runtime.reaper import remove_lab
from lab.runtime.seal import helper_spec

BIND = ("alice=baresip", "bob=linphone")
TOPOLOGIES = sorted(path.stem for path in (ROOT / "topologies").glob("*.yaml"))
IMAGE = "siplab/helper:1"
ATTEMPTS = 3
TAKEN = "Pool overlaps"
"""What the engine says of a subnet that another lab has got meanwhile."""


def test_the_rendered_folder_is_up_to_date():
    golden = ROOT / "compose" / "trapezoid"
    arguments = [word for text in BIND for word in ("--bind", text)]
    done = siplab(ROOT, "render", "trapezoid", *arguments, "-o", str(golden), "--check")
    assert (done.returncode, done.stdout) == (0, ""), f"run: siplab render trapezoid {' '.join(arguments)} -o compose/trapezoid"


def test_the_check_sees_a_change(tmp_path):
    plan = make("trapezoid", BIND)
    render_to_dir(plan, MANIFESTS, Authority(), tmp_path)
    assert check_dir(plan, MANIFESTS, tmp_path) == ()
    with (tmp_path / "compose.yaml").open("a") as file:
        file.write("# changed by hand\n")
    (tmp_path / "pa" / "etc" / "kamailio" / "kamailio.cfg").unlink()
    assert [line.split(":")[0] for line in check_dir(plan, MANIFESTS, tmp_path)] == ["differs", "missing"]


# -- by hand -------------------------------------------------------------------------------------------------------------------------------


def render(topology: str, bind: tuple[str, ...], engine: DockerRuntime, identity: Identity, folder: Path) -> ByHand:
    """A folder with subnets that are free, and with bridges that nobody else has."""
    plan = make(topology, bind, free_subnets(engine, make(topology, bind)))
    render_to_dir(plan, MANIFESTS, Authority(), folder)
    file = folder / "compose.yaml"
    file.write_text(file.read_text().replace("bridge.name: slh", f"bridge.name: {identity.bridge(0)[:-1]}"))
    compose = Compose(compose_command(), f"slt-compose-{identity.lab}-{folder.name}", folder)
    compose("config", "-q")
    return ByHand(plan, engine, compose, folder.parent / "logs")


def take_down(lab: ByHand) -> None:
    """One container after the other where the engine cannot end several at once; then as a person would, and nothing is left."""
    if not lab.engine.info().ends_at_once:
        for item in lab.engine.inventory(lab.compose.labels):
            if item.kind == "container":
                lab.engine.remove(item.handle)
    lab.compose("down", "-v", "--timeout", "6")
    assert lab.engine.inventory(lab.compose.labels) == []


@pytest.fixture
def bring_up(tmp_path) -> Iterator[Callable[..., ByHand]]:
    """Renders a topology and brings it up; whatever came up is taken down."""
    engine, identity = DockerRuntime(), Identity(prefix="slt")
    rendered: list[ByHand] = []

    def bring_up(topology: str, bind: tuple[str, ...] = ()) -> ByHand:
        for attempt in range(ATTEMPTS):
            lab = render(topology, bind, engine, identity, tmp_path / f"{attempt}")
            if lab.plan.with_role("nat") and not attempt:
                helper = engine.create(helper_spec(identity, IMAGE, forwards=True))
                engine.start(helper)
                open_forwarding(engine, helper, identity)
            rendered.append(lab)
            done = lab.compose.run("up", "-d")
            if TAKEN not in done.stderr:
                assert done.returncode == 0, done.stderr
                return lab
        pytest.fail(f"other labs took the subnets of {topology} {ATTEMPTS} times")

    yield bring_up
    try:
        for lab in rendered:
            take_down(lab)
    finally:
        remove_lab(engine, identity.selector)


@pytest.mark.docker
def test_a_call_by_hand(bring_up):
    lab = bring_up("trapezoid", BIND)
    for server in lab.plan.with_role("proxy"):
        lab.wait_ready(server)

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

    names = [item.name for item in lab.engine.inventory(lab.compose.labels)]
    assert len([name for name in names if name]) == len(lab.plan.elements) + len(lab.plan.networks) + 1


@pytest.mark.docker
@pytest.mark.exhaustive
@pytest.mark.timeout(400)
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_every_topology_by_hand(bring_up, topology):
    """All elements become ready by the signs of their vendors, behind a NAT too; a user agent registers; nobody has ended or begun anew."""
    lab = bring_up(topology)
    settling = [element for element in lab.plan.elements if element.settling]
    for element in settling:
        lab.wait_settled(element)
    for element in lab.plan.elements:
        lab.wait_ready(element)
    started = {element.name: lab.state(element).started_at for element in lab.plan.elements}
    for user in lab.plan.with_role("user-agent")[:1]:
        lab.attach(user.name).register(transport="tcp")

    assert {element.name: lab.state(element).started_at for element in lab.plan.elements if lab.state(element).running} == started
