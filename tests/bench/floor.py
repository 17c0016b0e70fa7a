"""What a lab costs over the bare engine, as rows of a Markdown table: `.venv/bin/python tests/bench/floor.py [TOPOLOGY…]`.

Floor: the networks, and a container per element and for the helper, of the same images with `sleep` in place of their software: created and
started eight at a time, and removed one after the other on engines before 23, as a lab does it. siplab: until all is ready and the seal
proven, and down with its evidence saved; stages are those of pairing.json. Both in turns; medians of `--repeat` rounds.
"""

import argparse
import json
import statistics
import tempfile
import time
from functools import partial
from operator import itemgetter
from pathlib import Path

from lab.plan.build import make_plan
from lab.runtime.base import Attachment, ContainerSpec
from lab.runtime.docker import DockerRuntime
from lab.runtime.labels import Identity
from lab.runtime.lease import lease_networks
from lab.runtime.parallel import run_all
from lab.runtime.reaper import remove_lab
from lab.session.bench import STEP_WITHIN, Bench
from lab.session.ground import requests
from lab.session.selection import select, setup_for
from lab.session.vendors import HELPER
from lab.spec.catalog import project_root, topologies


def floor(setup, runtime):
    """Seconds up and down of containers that do nothing."""
    identity = Identity(prefix="slt")
    begun = time.monotonic()
    try:
        leases = lease_networks(runtime, identity, requests(setup.topology))
        made = make_plan(setup.topology, setup.binding, setup.vendors, leases={lease.name: (lease.ipv4, lease.ipv6) for lease in leases})
        sleeping = partial(ContainerSpec, command=("sleep", "infinity"), labels=identity.labels())
        specs = [sleeping(identity.name(HELPER), setup.images[(HELPER, setup.vendors[HELPER].default)], host_network=True)]
        for each in made.elements:
            places = [Attachment(identity.name(at.network), str(at.ipv4 or ""), str(at.ipv6 or "")) for at in each.interfaces]
            specs.append(sleeping(identity.name(each.name), setup.images[(each.vendor, each.flavour)], tuple(places)))
        handles = run_all("create", {spec.name: partial(runtime.create, spec) for spec in specs}, timeout=STEP_WITHIN)
        run_all("start", {name: partial(runtime.start, handle) for name, handle in handles.items()}, timeout=STEP_WITHIN)
        up = time.monotonic()
    finally:
        remove_lab(runtime, identity.selector)
    return up - begun, time.monotonic() - up


def lab(setup, runtime):
    """Seconds up and down of the lab, and its stages."""
    bench = Bench(setup, runtime)
    bench.up()
    bench.down()
    return itemgetter("up_seconds", "down_seconds", "stages")(json.loads((setup.folder / "pairing.json").read_text()))


def row(topology, repeat):
    """One line of the table."""
    selected, runtime, floors, labs = select(topology, ()), DockerRuntime(), [], []
    for _ in range(repeat):
        with tempfile.TemporaryDirectory() as folder:
            setup = setup_for(selected, selected.bindings[0], Path(folder))
            floors.append(floor(setup, runtime))
            labs.append(lab(setup, runtime))
    least_up, least_down, up, down = (statistics.median(each[at] for each in rounds) for rounds in (floors, labs) for at in (0, 1))
    told = ", ".join(f"{name} {statistics.median(each[2][name] for each in labs):.1f}" for name in labs[0][2])
    seconds = f"{least_up:.1f} / {least_down:.1f} | {up:.1f} / {down:.1f} | {up / least_up:.1f} / {down / least_down:.1f}"
    print(f"| `{topology}` | {len(setup.topology.elements)} | {len(setup.topology.networks)} | {seconds} | {told} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("topologies", nargs="*", help="default: all")
    parser.add_argument("--repeat", type=int, default=3, help="rounds per topology")
    options = parser.parse_args()
    print("| topology | elements | networks | floor up / down s | siplab up / down s | ratio | stages s |\n|---|---|---|---|---|---|---|")
    for name in options.topologies or topologies(project_root()):
        row(name, options.repeat)
