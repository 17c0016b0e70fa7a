"""Every topology comes up as its file says, with its own vendors, and its simplest scenario passes; the rest is for `make controls`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from lab_home import REPOSITORY, make_home, siplab

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]

SIMPLEST = {
    "alg": "test_nat_alg",
    "cgn": "test_nat_rebind",
    "conference": "test_conf_3way",
    "firewall": "test_firewall_reuse and tls",
    "forking": "test_fork_first_wins",
    "home": "test_nat_hairpin and not same_network",
    "nat": "test_nat_rport",
    "nat-outbound": "test_nat_outbound_failover and tcp",
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
    done = siplab(make_home(tmp_path), "run", topology, "-k", SIMPLEST[topology], "--json", within=220)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["counts"]["pass"] >= 1, done.stdout
