"""Vendor manifests, and where vendors and topologies are found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from spec_fixtures import VENDOR, project

from lab.errors import SpecError
from lab.spec.capability import CAPABILITIES, CONTRACT_CAPABILITIES, SERVER_CAPABILITIES
from lab.spec.catalog import load_topology, load_vendor, project_root, topologies, vendors
from lab.spec.role import ROLES
from lab.spec.vendor import vendor_json_schema

CHECKOUT = Path(__file__).resolve().parents[2]
TEXT = VENDOR.format(name="acme", role="user-agent")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return project(tmp_path)


def manifest(root: Path, text: str) -> Path:
    (root / "images" / "acme" / "vendor.yaml").write_text(text)
    return root / "images" / "acme"


def test_defaults_and_flavours(root: Path) -> None:
    vendor = load_vendor(root / "images" / "acme")
    assert vendor.default == "1.1"
    assert vendor.flavours["2.0"].args == {"VERSION": "2"}
    assert vendor.capabilities_of("1.1") == {"udp", "tcp", "tls"}
    assert vendor.capabilities_of("2.0") == {"tcp", "tls", "sips"}
    assert (vendor.memory_mb, vendor.pids, vendor.keylog, vendor.files, vendor.command) == (128, 64, False, {}, ())
    with pytest.raises(KeyError):
        vendor.capabilities_of("3")


def test_everything(root: Path) -> None:
    text = TEXT.replace("ready: {agent: true}", 'ready: {log: "ready|up"}') + (
        "shared: [agent, entry]\nneeds: [keylog]\nwheels: [some-wheel==1.2.post1]\ncommand: [run]\nfiles: {a.cfg.j2: /etc/a.cfg}\n"
        "logs: [/var/log/a]\nkeylog: true\nenvironment: {A: b}\ncapabilities: [NET_ADMIN]\nmemory_mb: 64\npids: 8\n"
        'control: {flush: [ctl, flush, "{user}"]}\n'
    )
    folder = manifest(root, text)
    (folder / "a.cfg.j2").write_text("x")
    vendor = load_vendor(folder)
    assert vendor.ready.log == "ready|up"
    assert vendor.control["flush"] == ("ctl", "flush", "{user}")
    assert vendor.version == ("acme", "--version")


def test_what_differs_in_a_role_replaces_the_manifests_own(root: Path) -> None:
    text = TEXT.replace("[user-agent]", "[user-agent, proxy]") + (
        "control: {flush: [a]}\nin_role:\n  proxy:\n    supports: [udp]\n    command: [serve]\n    files: {p/a.j2: /etc/a}\n"
        "    ready: {log: up}\n    memory_mb: 256\n"
    )
    folder = manifest(root, text)
    (folder / "p").mkdir()
    (folder / "p" / "a.j2").write_text("x")
    vendor = load_vendor(folder)
    proxy = vendor.playing("proxy")
    assert (proxy.command, proxy.files, proxy.ready.log, proxy.ready.agent) == (("serve",), {"p/a.j2": "/etc/a"}, "up", None)
    assert (proxy.memory_mb, proxy.pids, proxy.control) == (256, 64, {"flush": ("a",)})
    assert proxy.capabilities_of("1.1") == {"udp"}
    assert proxy.capabilities_of("2.0") == {"sips"}
    assert vendor.playing("user-agent") == vendor


def refused(root: Path, text: str, expected: str) -> None:
    """A manifest of this text is, with a message that begins so from the number of the line on."""
    assert text != TEXT
    with pytest.raises(SpecError) as caught:
        load_vendor(manifest(root, text))
    assert str(caught.value).startswith(f"images/acme/vendor.yaml:{expected}")


def test_every_file_of_a_role_is_there(root: Path) -> None:
    refused(root, f"{TEXT}in_role:\n  user-agent:\n    files: {{gone.j2: /etc/a}}\n", '14:13: files: no file "gone.j2" in images/acme')


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("name: acme", "name: acne", '2:7: name: "acne" differs from the folder\'s name; write acme or rename the folder to acne'),
        ("[user-agent]", "[user-agnet]", '4:9: roles[0]: unknown role "user-agnet"; did you mean user-agent?'),
        ("[user-agent]", "[]", "4:8: roles: is empty; give at least 1"),
        ("title: acme", 'title: "a\\tb"', '3:8: title: "a\\tb" is not one line of text; write one, without control characters'),
        ('default: "1.1"', "default: 1.1", '5:10: default: must be text, not 1.1; quote it: "1.1"'),
        ('default: "1.1"', 'default: "1.2"', '5:10: default: default "1.2" is not one of the flavours; did you mean 1.1?'),
        ('  "1.1":', "  1.10:", '7:3: the key 1.10 is not text; quote it: "1.10"'),
        ('  "1.1": {base', '  "1.1": {bsae', '7:3: flavours["1.1"]: key "base" is missing; add it'),
        ("base: trixie", "base: Trixie", '7:17: flavours["1.1"].base: is "Trixie": string should match pattern \'^[a-z]+$\''),
        ('VERSION: "2"', "VERSION: 2", '8:43: flavours["2.0"].args.VERSION: must be text, not 2; quote it: "2"'),
        ("supports_add: [sips]", "supports_add: [sip]", '8:64: flavours["2.0"].supports_add[0]: unknown capability "sip"; did'),
        ("supports_remove: [udp]", "supports_remove: [mwi]", '8:88: flavours["2.0"].supports_remove: flavour "2.0" removes "mwi", '),
        ("[udp, tcp, tls]", "[udp, tcp, tsl]", '9:22: supports[2]: unknown capability "tsl"; did you mean tls'),
        ("[udp, tcp, tls]", "[udp, udp]", '9:11: supports: "udp" is listed twice; remove one'),
        ("ready: {agent: true}", "", '1:1: key "ready" is missing; add it'),
    ],
)
def test_mistakes(root: Path, old: str, new: str, expected: str) -> None:
    refused(root, TEXT.replace(old, new, 1), expected)


@pytest.mark.parametrize(
    ("ready", "expected"),
    [
        ("{log: 'a{99999999999999999999}'}", '10:14: ready.log: "a{99999999999999999999}" is not a regular expression: '),
        ("{agent: false}", "10:16: ready.agent: must be true, not false; write true"),
        ("{}", "10:8: ready: has none of agent, log and exec; give exactly one"),
        ("{agent: true, log: x}", "10:8: ready: has agent and log of agent, log and exec; give exactly one"),
        ('{log: "("}', '10:14: ready.log: "(" is not a regular expression: missing ), unterminated subpattern at position 0; correct it'),
    ],
)
def test_mistakes_in_what_readiness_is(root: Path, ready: str, expected: str) -> None:
    refused(root, TEXT.replace("{agent: true}", ready, 1), expected)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("environment: {A=B: c}", '10:15: environment["A=B"]: "A=B" is not an environment variable; write '),
        ("environment: {'': c}", '10:15: environment[""]: "" is not an environment variable; write '),
        ("in_role: {user-agent: {ready: }}", "10:30: in_role.user-agent.ready: must be a mapping, not nothing; "),
        ("pids: 0", "10:7: pids: is 0: input should be greater than or equal to 1"),
        ("files: {a.j2: etc/a}", '10:15: files["a.j2"]: "etc/a" is not an absolute path; start it with /'),
        ("files: {../a: /etc/a}", '10:9: files["../a"]: "../a" is not a file of the vendor\'s folder; write a path relative'),
        ("files: {vendr.yaml: /etc/a}", '10:9: files: no file "vendr.yaml" in images/acme; did you mean vendor.yaml?'),
        ("capabilities: [ALL]", '10:16: capabilities[0]: "ALL" is not one Linux capability; name each that is needed'),
        ("wheels: [thing]", '10:10: wheels[0]: "thing" is not a pinned wheel; write name==version'),
        ("in_role: {proxy: {pids: 8}}", '10:18: in_role.proxy: in_role "proxy" is not one of its roles; '),
        ("in_role: {user-agent: {pid: 8}}", '10:24: in_role.user-agent: unknown key "pid"; did you mean pids?'),
        ("raedy: 1", '10:1: unknown key "raedy"; did you mean ready?'),
    ],
)
def test_mistakes_in_what_may_be_left_out(root: Path, line: str, expected: str) -> None:
    """As line 10."""
    refused(root, TEXT.replace("ready:", f"{line}\nready:", 1), expected)


def test_catalog(root: Path) -> None:
    assert topologies(root) == ("pair",)
    (root / "images" / "shared").mkdir()
    known = vendors(root)
    assert list(known) == ["acme", "globex", "initech", "names"], "folders without manifest are not vendors"
    assert (
        load_topology("topologies/pair.yaml", root) == load_topology(root / "topologies" / "pair.yaml", root) == load_topology("pair", root)
    )


def test_unknown_topology(root: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load_topology("pairs", root)
    assert str(caught.value) == 'topologies: unknown topology "pairs"; did you mean pair?'
    with pytest.raises(SpecError) as caught:
        load_topology("./gone.yaml", root)
    assert str(caught.value) == "gone.yaml: no such file; check the path"


def test_project_root(root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIPLAB_HOME", raising=False)
    deep = root / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert project_root() == root
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    assert project_root() == CHECKOUT
    monkeypatch.setenv("SIPLAB_HOME", str(root))
    assert project_root() == root
    monkeypatch.setenv("SIPLAB_HOME", str(elsewhere))
    with pytest.raises(SpecError, match=r"^SIPLAB_HOME=.* has no topologies/ and images/; set it to"):
        project_root()


def documented(page: str, title: str) -> list[str]:
    """The names in the first column of a section's table."""
    section = (CHECKOUT / "docs" / "reference" / page).read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return [name for row in rows for name in re.findall(r"`([a-z0-9-]+)`", row)]


def test_capabilities_are_the_contracts() -> None:
    assert documented("agent-contract.md", "Capabilities") == list(CONTRACT_CAPABILITIES)
    assert documented("vendor-manifest.md", "Capabilities of servers") == list(SERVER_CAPABILITIES)
    assert all(capability.rfc and capability.meaning for capability in CAPABILITIES.values())


def test_json_schema() -> None:
    schema = vendor_json_schema()
    assert schema["additionalProperties"] is False
    assert schema["properties"]["supports"]["items"]["enum"] == list(CAPABILITIES)
    assert schema["properties"]["roles"]["items"]["enum"] == list(ROLES)


def test_the_checkout_is_valid() -> None:
    assert vendors(CHECKOUT), "no vendor at all"
    for name in topologies(CHECKOUT):
        assert load_topology(name, CHECKOUT).name == name
