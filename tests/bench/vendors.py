"""What each vendor costs, as rows of a Markdown table: `.venv/bin/python tests/bench/vendors.py [VENDOR[@FLAVOUR]…]`.

Build: all steps of the image anew, without the cache, from the base image and the wheels that are there; size: the image's. Ready: from the
engine's start of the container to the agent's `hello`, or to the line that a server is ready with. Registered: that, and a registration by
Digest over UDP. CPU: seconds used from the start into a call, whatever else the machine does. Memory: in that call. Lines: those that are
not empty in the folder's own code, configuration and Dockerfile. Times and memory are medians of `--repeat` labs, each a `trapezoid` with
PJSIP and Kamailio in the other places, or for a session border controller `sbc`. `--no-build` leaves out build and size.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from lab.runtime.apt import host_apt
from lab.runtime.bases import base_tag, ids_by_tag
from lab.runtime.docker_images import DockerImages
from lab.runtime.engine import require_engine
from lab.runtime.image_build import Builder, plan_jobs
from lab.runtime.image_engine import silent
from lab.runtime.machine import Machine
from lab.session.vendors import image_sources
from lab.spec.catalog import vendors as load_vendors

ROOT = Path(__file__).parents[2]
PLAYED = {"user-agent": ("trapezoid", "alice"), "proxy": ("trapezoid", "pa"), "sbc": ("sbc", "sbc")}
"""Role -> the topology and its element that play it here."""
NO_CODE = (".md", ".pyc")


def build(source, sources):
    """Seconds of a build without the cache, and the image's size in MB. The image is removed again."""
    machine = Machine()
    engine = DockerImages(require_engine().address)
    engine._api.build = partial(engine._api.build, nocache=True)
    suites = {known.base for known in sources}
    present = ids_by_tag(engine.images())
    job = plan_jobs(sources, [source.key], {suite: present[base_tag(suite)] for suite in suites if base_tag(suite) in present})[-1]
    fresh = replace(job, source=replace(job.source, name="cost"), tag="siplab/cost:fresh")
    begun = time.monotonic()
    Builder(engine, ROOT / ".siplab", machine, silent, host_apt(machine).proxy_is_local).build(fresh)
    seconds = time.monotonic() - begun
    size = int(subprocess.check_output(["docker", "inspect", "-f", "{{.Size}}", fresh.tag]))
    subprocess.run(["docker", "rmi", fresh.tag, fresh.source.moving_tag], check=True, stdout=subprocess.DEVNULL)
    return seconds, size / 1e6


def measure(label, topology, element):
    """One lab: seconds until ready, seconds of a registration or None, CPU seconds up to the call, MiB in it."""
    others = {"alice": "pjsip", "bob": "pjsip", element: label}
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "cost.json")
        binding = [f"--bind={name}={vendor}" for name, vendor in others.items()]
        argv = [sys.executable, "-m", "pytest", "-q", str(Path(__file__).with_name("cost_scenario.py")), f"--topology={topology}", *binding]
        done = subprocess.run(argv, cwd=ROOT, env=os.environ | {"SIPLAB_COST": str(result)}, stdout=subprocess.PIPE, text=True, check=False)
        if not result.exists():
            sys.exit(f"{label}: no call to measure\n{done.stdout}")
        cost = json.loads(result.read_text())[element]
    return cost["ready"], cost.get("register"), cost["cpu"], cost["memory"]


def lines_of(folder):
    """Lines that are not empty, of all that is no document."""
    files = [file for file in folder.rglob("*") if file.is_file() and file.suffix not in NO_CODE]
    return sum(bool(line.strip()) for file in files for line in file.read_text(encoding="utf-8").splitlines())


def row(source, vendor, sources, options):
    """One line of the table."""
    label = f"{source.name}@{source.flavour}"
    built, size = build(source, sources) if options.build else (None, None)
    played = next(PLAYED[role] for role in PLAYED if role in vendor.roles)
    runs = [measure(label, *played) for _ in range(options.repeat)]
    ready, register, cpu, memory = (statistics.median(values) if None not in values else None for values in zip(*runs, strict=True))
    registered = ready + register if register is not None else None
    cells = [(built, ".0f"), (size, ".0f"), (ready, ".2f"), (registered, ".2f"), (cpu, ".1f"), (memory, ".0f")]
    texts = ["" if value is None else format(value, form) for value, form in cells]
    print("|", " | ".join([f"`{label}`", *texts, str(lines_of(ROOT / "images" / source.name))]), "|", flush=True)


def main():
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vendors", nargs="*", help="default: every flavour of every user agent, proxy and session border controller")
    parser.add_argument("--repeat", type=int, default=3, help="labs per vendor")
    parser.add_argument("--no-build", dest="build", action="store_false", help="leave out build and size")
    options = parser.parse_args()
    vendors = load_vendors(ROOT)
    sources = image_sources(ROOT, vendors)
    asked = [s for s in sources if not options.vendors or {s.name, f"{s.name}@{s.flavour}"} & set(options.vendors)]
    print("| vendor | build s | size MB | ready s | registered s | CPU s | memory MiB | lines |\n|---|---|---|---|---|---|---|---|")
    for source in asked:
        if set(vendors[source.name].roles) & set(PLAYED):
            row(source, vendors[source.name], sources, options)


if __name__ == "__main__":
    main()
