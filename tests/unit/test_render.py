"""Plan to files: what each element gets, and what a template's mistake looks like."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import dns.zone
import pytest
import yaml
from render_plan import FAULTS, VENDORS, trapezoid

from lab.errors import PlanError
from lab.plan.model import Zone
from lab.render.compose import check_dir, left_to_you, render_to_dir
from lab.render.files import render
from lab.render.pki import Authority, Placeholders
from lab.render.vendor import Vendor
from lab.render.zone import zone_text


def text(element: str, path: str) -> str:
    return render(trapezoid(), VENDORS, Placeholders()).files[element][path].data.decode()


def broken(tmp_path: Path, template: str, **members: object) -> PlanError:
    """The error of a vendor with this template in line 2."""
    (tmp_path / "x.cfg.j2").write_text(f"# first line\n{template}\n")
    vendor = Vendor(**{"name": "ua", "folder": tmp_path, "files": {"x.cfg.j2": "/x.cfg"}, **members})
    with pytest.raises(PlanError) as caught:
        render(trapezoid(), {**VENDORS, "ua": vendor}, Placeholders())
    assert "\n" not in str(caught.value)
    return caught.value


def test_rendering_is_deterministic_but_for_secrets() -> None:
    assert render(trapezoid(), VENDORS, Placeholders()) == render(trapezoid(), VENDORS, Placeholders())
    assert render(trapezoid(), VENDORS, Authority()) != render(trapezoid(), VENDORS, Authority())


def test_every_element_asks_the_labs_dns() -> None:
    for element in trapezoid().elements:
        lines = text(element.name, "/etc/siplab/resolv.conf").splitlines()
        assert lines[:2] == ["nameserver 198.18.96.10", "nameserver 2001:db8:60::10"]


def test_agent_json_is_the_contracts() -> None:
    document = json.loads(text("alice", "/etc/siplab/agent.json"))
    assert document["element"] == "alice"
    assert document["ipv4"] == "198.18.96.13"
    assert document["dns"] == ["198.18.96.10", "2001:db8:60::10"]
    assert document["tone_hz"] == 440
    assert document["certificate"] == "/etc/siplab/tls/alice.pem"
    assert document["keylog"] is None
    assert "/etc/siplab/agent.json" not in render(trapezoid(), VENDORS, Placeholders()).files["pa"]


def test_a_role_has_files_and_environment_of_its_own(tmp_path: Path) -> None:
    for name in ("ua", "proxy"):
        (tmp_path / f"{name}.j2").write_text(f"{name} of {{{{ element.name }}}}")
    as_proxy = Vendor("both", tmp_path, files={"proxy.j2": "/etc/both"}, command=("serve",))
    both = Vendor("both", tmp_path, files={"ua.j2": "/etc/both"}, environment={"A": "b"}, in_role={"proxy": as_proxy})
    rendering = render(trapezoid(), {name: both for name in VENDORS}, Placeholders())
    assert rendering.files["pa"]["/etc/both"].data == b"proxy of pa"
    assert rendering.files["bob"]["/etc/both"].data == b"ua of bob"
    assert (rendering.environment["pa"], rendering.environment["bob"]) == ({}, {"A": "b"})


def test_private_keys_are_private() -> None:
    files = render(trapezoid(), VENDORS, Authority()).files["pa"]
    assert {path: file.mode for path, file in files.items() if path.endswith(".key")} == {
        f"/etc/siplab/tls/{name}.key": 0o600 for name in ("pa", *FAULTS)
    }


def test_environment_is_a_template() -> None:
    environment = render(trapezoid(), VENDORS, Placeholders()).environment
    assert environment["pb"]["SSLKEYLOGFILE"] == "/var/lib/siplab/keys/pb.log"


def test_zones_are_zones() -> None:
    for zone in trapezoid().zones:
        loaded = dns.zone.from_text(text("dns", f"/etc/siplab/zones/{zone.origin}.zone"), origin=zone.origin)
        assert loaded.get_rdataset("@", "SOA")
        assert loaded.get_rdataset("@", "NS")


def test_a_planned_soa_is_kept() -> None:
    zone = trapezoid().zones[0]
    once = zone_text(zone, "ns.siplab.example")
    records = tuple(replace(zone.records[0], name="@", type=kind, data=data) for kind, data in (("SOA", "a. b. 7 1 1 1 1"), ("NS", "a.")))
    kept = zone_text(Zone(zone.origin, records), "ns.siplab.example")
    assert once.count("SOA") == kept.count("SOA") == 1
    assert "a. b. 7" in kept


def test_a_proxy_opens_what_is_planned() -> None:
    config = text("pa", "/etc/kamailio/kamailio.cfg")
    assert 'listen=tls:[2001:db8:60::11]:5061 advertise "pa.atlanta.example":5061' in config
    assert "listen=udp:198.18.96.11:5060\n" in config
    assert '$sht(users=>alice@atlanta.example) = "wonderland";' in config
    assert "builder" not in config
    for number, fault in enumerate(FAULTS):
        assert f"[server:198.18.96.11:{5071 + number}]" in text("pa", "/etc/kamailio/tls.cfg")
        assert f"certificate = /etc/siplab/tls/{fault}.pem" in text("pa", "/etc/kamailio/tls.cfg")


def test_an_undefined_name_is_named_with_its_line(tmp_path: Path) -> None:
    error = broken(tmp_path, "{{ nobody }}")
    assert str(error).startswith(f"{tmp_path}/x.cfg.j2:2: template: 'nobody' is undefined")
    assert "dns, domain, domains, element" in str(error)


def test_an_undefined_member_is_named_with_its_line(tmp_path: Path) -> None:
    error = broken(tmp_path, "{{ element.colour }}")
    assert str(error).startswith(f"{tmp_path}/x.cfg.j2:2: ")
    assert "colour" in str(error)


def test_a_syntax_error_has_its_line(tmp_path: Path) -> None:
    assert str(broken(tmp_path, "{% if %}")).startswith(f"{tmp_path}/x.cfg.j2:2: ")


def test_a_template_that_fails_otherwise_has_its_line(tmp_path: Path) -> None:
    assert str(broken(tmp_path, "{{ element.tone_hz / 0 }}")).startswith(f"{tmp_path}/x.cfg.j2:2: ")


def test_a_missing_template_is_named(tmp_path: Path) -> None:
    assert "y.cfg.j2" in str(broken(tmp_path, "", files={"y.cfg.j2": "/y.cfg"}))


def test_a_wrong_environment_is_named(tmp_path: Path) -> None:
    assert "environment COLOUR: template: 'red' is undefined" in str(broken(tmp_path, "", environment={"COLOUR": "{{ red }}"}))


def test_an_unknown_vendor_is_named() -> None:
    with pytest.raises(PlanError, match="vendor 'ua' has no manifest; known: kamailio"):
        render(trapezoid(), {"kamailio": VENDORS["kamailio"], "siplab-dns": VENDORS["siplab-dns"]}, Placeholders())


def test_compose_has_least_privilege_and_pulls_nothing(tmp_path: Path) -> None:
    render_to_dir(trapezoid(), VENDORS, Authority(), tmp_path)
    document = yaml.safe_load((tmp_path / "compose.yaml").read_text())
    assert document["networks"]["internet"]["internal"] is True
    for name, service in document["services"].items():
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["pull_policy"] == "never"
        assert not (tmp_path / service["build"]["dockerfile"]).exists()
        assert "ports" not in service
        for mount in service["volumes"]:
            source, target, *_ = mount.split(":")
            assert source == "keys" or (tmp_path / source).is_file(), mount
            assert source in ("keys", f"./{name}{target}")


def test_a_dollar_in_the_environment_stays_one(tmp_path: Path) -> None:
    vendor = replace(VENDORS["ua"], environment={"PRICE": "$5"})
    render_to_dir(trapezoid(), {**VENDORS, "ua": vendor}, Placeholders(), tmp_path)
    assert yaml.safe_load((tmp_path / "compose.yaml").read_text())["services"]["bob"]["environment"] == {"PRICE": "$$5"}


def test_what_compose_cannot_do_is_told_and_written(tmp_path: Path) -> None:
    plan = trapezoid()
    assert left_to_you(plan) == ()
    dns, pa, *others = plan.elements
    plan = replace(plan, elements=(dns, replace(pa, start_after=("dns",)), *others, replace(pa, name="nat1", role="nat", start_after=())))
    passage, waiting = left_to_you(plan)
    assert "nat1 can route only after `iptables" in passage
    assert waiting == "pa starts after dns, ready or not"
    render_to_dir(plan, VENDORS, Placeholders(), tmp_path)
    lines = (tmp_path / "compose.yaml").read_text().splitlines()
    assert [line for line in lines if line.startswith("# By hand: ")] == [f"# By hand: {passage}", f"# By hand: {waiting}"]
    bridge = yaml.safe_load("\n".join(lines))["networks"]["internet"]["driver_opts"]["com.docker.network.bridge.name"]
    assert f"-i {bridge.rstrip('0')}+ " in passage


def test_check_finds_every_kind_of_difference(tmp_path: Path) -> None:
    render_to_dir(trapezoid(), VENDORS, Authority(), tmp_path)
    assert check_dir(trapezoid(), VENDORS, tmp_path) == ()

    (tmp_path / "pa/etc/siplab/resolv.conf").unlink()
    (tmp_path / "pb/etc/siplab/resolv.conf").write_text("changed")
    (tmp_path / "stray").write_text("")
    found = check_dir(trapezoid(), VENDORS, tmp_path)
    assert [line.split(":")[0] for line in found] == ["differs", "missing", "not rendered"]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PlanError, match="cannot write"):
        render_to_dir(trapezoid(), VENDORS, Placeholders(), tmp_path / "file")
