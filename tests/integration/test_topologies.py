"""Every topology comes up as its file says, with its own vendors, and its simplest scenario passes; the rest is for `make controls`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]

REPOSITORY = Path(__file__).parents[2]
SIMPLEST = {
    "alg": "test_nat_alg",
    "cgn": "test_nat_rebind",
    "conference": "test_conf_3way",
    "firewall": "test_firewall_reuse and tls",
    "forking": "test_fork_first_wins",
    "home": "test_nat_hairpin and not same_network",
    "nat": "test_nat_rport",
    "pstn-gateway": "test_pstn_clip",
    "rogue-dns": "test_dns_srv_failover and silent and not ua",
    "sbc": "test_sbc_media_anchor",
    "trapezoid-3": "test_transit_call and udp",
    "trapezoid-dual": "test_families_bridged",
    "trapezoid-ipv6": "test_ipv6_only",
    "voicemail-ivr": "test_vm_target_cause and busy",
}


def test_none_is_forgotten() -> None:
    assert SIMPLEST.keys() == {path.stem for path in (REPOSITORY / "topologies").glob("*.yaml")} - {"check", "trapezoid"}


@pytest.mark.parametrize("topology", sorted(SIMPLEST))
def test_it_comes_up_and_works(tmp_path: Path, topology: str) -> None:
    for folder in ("topologies", "scenarios"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "images").symlink_to(REPOSITORY / "images")
    (tmp_path / "lab").symlink_to(REPOSITORY / "lab")
    command = [sys.executable, "-c", "from lab.cli import main; main()", "run", topology, "-k", SIMPLEST[topology], "--json"]
    environment = {**os.environ, "SIPLAB_HOME": str(tmp_path), "NO_COLOR": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=220, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["counts"]["pass"] >= 1, done.stdout
