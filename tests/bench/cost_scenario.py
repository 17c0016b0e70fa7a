"""What one pairing costs: for `vendors.py`, which says how to run it. A scenario like others, so that the call is a real one."""

import json
import os
import subprocess
import time
from datetime import datetime

import pytest

pytestmark = pytest.mark.lab(topology=["trapezoid", "sbc"], needs={"alice": ["udp", "invite"], "bob": ["udp", "invite"]})


def started(container):
    """When the engine started it, in seconds since the epoch."""
    return when(subprocess.check_output(["docker", "inspect", "-f", "{{.State.StartedAt}}", container], text=True).strip())


def first_line(container, sign):
    """When it first printed a line that holds `sign`."""
    lines = subprocess.check_output(["docker", "logs", "-t", container], text=True, stderr=subprocess.STDOUT).splitlines()
    return when(next(line for line in lines if sign in line).split()[0])


def when(stamp):
    return datetime.fromisoformat(stamp[:26].rstrip("Z") + "+00:00").timestamp()


def test_cost(lab, request):
    """Registrations, a call with audio both ways; then what the engine says of every element."""
    bench, cost = lab._bench, {}
    alice, bob = lab.user_agent("alice"), lab.user_agent("bob")
    for agent in (bob, alice):
        begun = time.monotonic()
        agent.register()
        cost[agent.name] = {"register": time.monotonic() - begun}
    call = alice.invite(bob.aor)
    leg = bob.expect_invite()
    leg.answer()
    assert call.established()
    assert leg.established()
    assert lab.talking(call, leg)
    for name in sorted({"alice", "bob", "pa", "pb", "sbc"} & bench.handles.keys()):
        sign = '"contract":' if name in cost else bench.setup.vendors[bench.plan.element(name).vendor].ready.log
        ready = first_line(bench.handles[name], sign) - started(bench.handles[name])
        usage = bench.runtime.usage(bench.handles[name])
        cost.setdefault(name, {}).update(ready=ready, cpu=usage.cpu_seconds, memory=usage.memory_mb)
    with open(os.environ["SIPLAB_COST"], "w", encoding="utf-8") as file:
        json.dump(cost, file)
