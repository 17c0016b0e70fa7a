"""The doctor's judgement on given facts."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from lab.runtime.docker_endpoint import LOCAL_SOCKET, EngineAddress
from lab.runtime.doctor import Check, Facts, Occupied, checks, is_fit
from lab.runtime.doctor_facts import kernel_features, occupied_ranges, parse_ipv4_routes, parse_ipv6_routes
from lab.runtime.engine import Contact

SYSTEM = EngineAddress(f"unix://{LOCAL_SOCKET}")
GIB = 1024**3
WELL = Facts(
    contact=Contact(SYSTEM, "answers", api_version="1.41"),
    engine="Debian, version 20.10",
    root=True,
    kernel={"nftables": True, "conntrack": True, "bridge netfilter": True},
    disk_path="/var/lib/docker",
    free_bytes=50 * GIB,
    images_present=("phone:1",),
)


def line(facts: Facts, name: str) -> Check:
    return next(check for check in checks(facts) if check.name == name)


def test_all_well() -> None:
    assert {check.status for check in checks(WELL)} == {"ok"}
    assert {check.remedy for check in checks(WELL)} == {""}
    assert is_fit(checks(WELL))


def test_every_bad_line_has_a_remedy() -> None:
    bad = Facts(Contact(SYSTEM, "absent"))
    assert not is_fit(checks(bad))
    assert all(check.remedy for check in checks(bad) if check.status != "ok")
    assert "images" not in {check.name for check in checks(bad)}


def test_old_api_fails() -> None:
    old = replace(WELL, contact=Contact(SYSTEM, "answers", api_version="1.40"))
    assert line(old, "engine").status == "fail"


def test_denied_is_a_matter_of_rights() -> None:
    denied = Facts(Contact(SYSTEM, "denied"))
    assert line(denied, "rights").status == "fail"
    assert "usermod" in line(denied, "rights").remedy


@pytest.mark.parametrize(("found", "status"), [(True, "ok"), (False, "warn"), (None, "warn")])
def test_unknown_kernel_features_are_never_good(found: bool | None, status: str) -> None:
    assert line(replace(WELL, kernel={**WELL.kernel, "nftables": found}), "nftables").status == status


def test_bridge_netfilter_may_be_off() -> None:
    assert line(replace(WELL, kernel={**WELL.kernel, "bridge netfilter": False}), "bridge netfilter").status == "ok"


@pytest.mark.parametrize(("free", "status"), [(GIB, "fail"), (3 * GIB, "warn"), (7 * GIB, "ok"), (None, "warn")])
def test_disk(free: int | None, status: str) -> None:
    assert line(replace(WELL, free_bytes=free), "disk").status == status


def test_missing_images_are_named_and_nothing_to_do_about() -> None:
    check = line(replace(WELL, images_missing=("proxy:6",)), "images")
    assert (check.status, check.detail, check.remedy) == ("ok", "1 of 2 built, a run builds what it needs: proxy:6", "")


@pytest.mark.parametrize(
    ("network", "status"),
    [
        ("10.0.0.0/8", "ok"),
        ("198.18.4.0/24", "warn"),
        ("198.18.0.0/15", "fail"),
        ("198.0.0.0/8", "fail"),
        ("2001:db8:1::/48", "warn"),
        ("2000::/3", "fail"),
        ("fe80::/64", "ok"),
    ],
)
def test_address_pools(network: str, status: str) -> None:
    assert line(replace(WELL, occupied=(Occupied("route on tun0", ip_network(network)),)), "addresses").status == status


def test_ipv4_routes_are_little_endian_hexadecimal() -> None:
    text = (
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"
        "eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\n"
        "tun0\t000012C6\t00000000\t0001\t0\t0\t0\t0000FEFF\n"
    )
    assert parse_ipv4_routes(text) == [Occupied("route on tun0", ip_network("198.18.0.0/15"))]


def test_ipv6_routes() -> None:
    rest = "00000000000000000000000000000000 00 00000000000000000000000000000000 00000400 00000001 00000000 00000001"
    text = f"20010db8000100000000000000000000 30 {rest} tun0\n{'0' * 32} 00 {rest} eth0\n{'0' * 31}1 80 {rest} lo\n"
    assert parse_ipv6_routes(text) == [Occupied("route on tun0", ip_network("2001:db8:1::/48"))]


def test_own_labs_are_no_conflict_and_bridges_are_told_once() -> None:
    networks = [
        {"Name": "lab", "Labels": {"siplab": "1"}, "IPAM": {"Config": [{"Subnet": "198.18.1.0/24"}]}},
        {"Name": "other", "Labels": {}, "IPAM": {"Config": [{"Subnet": "198.18.2.0/24"}]}},
        {"Name": "none", "Labels": None, "IPAM": {"Config": None}},
    ]
    routes = [Occupied(f"route on br{n}", ip_network(f"198.18.{n}.0/24")) for n in (1, 2, 3)]
    assert [item.holder for item in occupied_ranges(routes, networks)] == ["route on br3", "network other"]


def test_kernel_without_words_is_unknown(tmp_path: Path) -> None:
    found = kernel_features(tmp_path, tmp_path, tmp_path)
    assert found == {"nftables": None, "conntrack": None, "bridge netfilter": False}
