"""The topology language: what it means, and every mistake with file, line, column, value and the nearest known names."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError
from spec_fixtures import TOPOLOGY, project, rewritten

from lab.errors import SpecError, Where
from lab.spec.catalog import load_topology
from lab.spec.options import options_of
from lab.spec.topology import topology_json_schema


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return project(tmp_path)


def complaints(root: Path, old: str, new: str) -> list[str]:
    """The errors of the topology with one piece of it replaced."""
    assert old in TOPOLOGY
    with pytest.raises(SpecError) as caught:
        rewritten(root, TOPOLOGY.replace(old, new, 1))
    assert caught.value.errors[0] is caught.value
    return [str(error).removeprefix("topologies/pair.yaml:") for error in caught.value.errors]


def test_meaning(root: Path) -> None:
    topology = load_topology("pair", root)
    assert topology.schema_version == 1
    assert topology.networks_of("dns") == ("internet",), "left out means all"
    assert topology.served_by("pa") == ("atlanta.example",)
    assert topology.served_by("alice") == ()
    assert topology.varied == ("alice", "bob", "pa", "pb")
    alice = topology.elements["alice"]
    assert (alice.username, alice.domain) == ("alice", "atlanta.example")
    assert (topology.elements["pa"].username, topology.elements["pa"].domain) == ("", "")
    assert topology.elements["pa"].presents == ("wrong-san", "expired")
    with pytest.raises(ValidationError):
        topology.name = "other"  # type: ignore[misc]


def test_merge_keys_and_options(root: Path) -> None:
    text = TOPOLOGY.replace("  pa:\n", "  pa: &proxy\n").replace(
        "  pb:\n    role: proxy\n    vendor: globex@2.0\n", "  pb: {<<: *proxy, vendor: globex@2.0}\n"
    )
    pb = rewritten(root, text).elements["pb"]
    assert pb.presents == ("wrong-san", "expired")
    assert pb.vendor == "globex@2.0"


def test_routes_and_options(root: Path) -> None:
    text = TOPOLOGY.replace(
        "{proxy: pb}", "{proxy: pb, routes: [{user: '+*', to: pa, transport: tcp}, {'on': [408, 486], to: pa}, {event: reg, to: pa}]}"
    )
    first, second, third = rewritten(root, text).domains["biloxi.example"].routes
    assert (first.user, first.on, first.to, first.transport) == ("+*", (), "pa", "tcp")
    assert (second.user, second.on, second.transport) == ("*", (408, 486), "udp")
    assert (second.event, third.event) == ("", "reg")
    assert options_of("trunk", {"numbers": {"+49301": {"behaviour": "answer"}}}) == {
        "numbers": {"+49301": {"behaviour": "answer", "cause": 16, "status": 500, "seconds": 3, "digits": "rfc4733"}}
    }
    assert options_of("turn", {"password": "x"}) == {"username": "siplab", "password": "x"}
    assert options_of("proxy", {}) == {"ring_seconds": 120, "workers": 1}


def test_needs_of_the_default_vendor(root: Path) -> None:
    assert complaints(root, "vendor: globex@2.0", "vendor: globex@2.0\n    needs: [tcp, udp, sipz]") == [
        '19:23: elements.pb.needs[2]: unknown capability "sipz"; did you mean sips?'
    ]
    assert complaints(root, "vendor: globex@2.0", "vendor: globex@2.0\n    needs: [tcp, udp, mwi]") == [
        '18:13: "pb" needs udp, mwi, which globex@2.0 does not declare; vendors that do: none'
    ]
    assert complaints(root, "vendor: globex@2.0", "vendor: globex@2.0\n    needs: [udp]") == [
        '18:13: "pb" needs udp, which globex@2.0 does not declare; vendors that do: globex'
    ]
    text = TOPOLOGY.replace("    vendor: acme\n    aor: alice@", "    vendor: acme\n    count: 2\n    needs: [udp]\n    aor: alice@")
    assert str(rewritten(root, text).needed_at("alice2")) == "topologies/pair.yaml:23:5"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        # shape
        ("schema: 1\n", "", ['1:1: key "schema" is missing; add it']),
        ("schema: 1", "schema: 2", ["1:9: schema: version 2 is not known; write 1, or use the siplab that knows it"]),
        ("schema: 1", "schema: true", ["1:9: schema: must be a whole number, not true"]),
        ("schema: 1", "schema: '1'", ['1:9: schema: must be a whole number, not "1"']),
        ("title: Two domains", "title: 5.10", ['3:8: title: must be text, not 5.10; quote it: "5.10"']),
        ("title: Two domains", "title:", ["3:7: title: must be text, not nothing"]),
        ("networks:\n", "netwroks:\n", ['1:1: key "networks" is missing; add it', '4:1: unknown key "netwroks"; did you mean networks?']),
        (
            "internet: {}",
            "internet: {mtu: 1}",
            ['5:14: networks.internet: unknown key "mtu"; known: delay, ipv4, ipv6, loss, private, rate'],
        ),
        ("internet: {}", "internet:", ["5:12: networks.internet: must be a mapping, not nothing; write {} for an empty one"]),
        ("  internet: {}\n", "  {}\n", ["5:3: networks: is empty; give at least 1"]),
        ("{role: dns, vendor: names}", "{vender: names, role: dns}", ['10:9: elements.dns: unknown key "vender"; did you mean vendor?']),
        ("{role: dns, vendor: names}", "dns", ['10:8: elements.dns: must be a mapping, not "dns"']),
        ("[internet]", "internet", ['13:15: elements.pa.networks: must be a list, not "internet"; write [internet]']),
        ("[internet]", "[]", ["13:15: elements.pa.networks: is empty; give at least 1"]),
        ("[internet]", "[internet, internet]", ['13:15: elements.pa.networks: "internet" is listed twice; remove one']),
        ("[internet]", "[5]", ['13:16: elements.pa.networks[0]: must be text, not 5; quote it: "5"']),
        (
            "[[alice, bob], [pa, pb]]",
            "[alice, bob]",
            [
                '26:10: matrix[0]: must be a list, not "alice"; write [alice]',
                '26:17: matrix[1]: must be a list, not "bob"; write [bob]',
            ],
        ),
        # traps
        (
            "aor: bob@biloxi.example",
            "aor: +33123",
            ['25:10: unquoted +33123 is a number that loses its plus sign to YAML; quote it: "+33123"'],
        ),
        ("  dns:", "  no:", ['10:3: unquoted no is a boolean to YAML; write true or false, or quote it: "no"']),
        ("title: Two domains", "title: 1:30", ['3:8: unquoted 1:30 is a number in base 60 to YAML; quote it: "1:30"']),
        ("  pb:\n", "  pa:\n", ['16:3: duplicate key "pa", first on line 11; remove one']),
        # names
        (
            "name: pair",
            "name: Pair",
            ['2:7: name: "Pair" is not a name; write lower-case letters, digits and -, starting with a letter, at most 31'],
        ),
        ("name: pair", "name: pear", ['2:7: name: "pear" differs from the file\'s name; write pair or rename the file to pear.yaml']),
        (
            "  dns:",
            "  d_s:",
            ['10:3: elements.d_s: "d_s" is not a name; write lower-case letters, digits and -, starting with a letter, at most 31'],
        ),
        (
            "atlanta.example: {",
            "Atlanta: {",
            ['7:3: domains.Atlanta: "Atlanta" is not a domain name; write lower-case labels with dots, such as atlanta.example'],
        ),
        (
            "aor: bob@",
            "aor: sip:bob@",
            [
                '25:10: elements.bob.aor: "sip:bob@biloxi.example" is not an address of record; '
                "write user@domain without a scheme, such as alice@atlanta.example"
            ],
        ),
        ("vendor: globex@2.0", "vendor: globex@", ['18:13: elements.pb.vendor: "globex@" is not a vendor; write vendor or vendor@flavour']),
        ("role: proxy", "role: proxi", ['12:11: elements.pa.role: unknown role "proxi"; did you mean proxy?']),
        ("role: proxy", 'role: "pro\\nxy"', ['12:11: elements.pa.role: unknown role "pro\\nxy"; did you mean proxy?']),
        (
            "[wrong-san,",
            "[wrong-sna,",
            [
                "15:16: elements.pa.presents[0]: must be 'wrong-san', 'unknown-ca', 'expired' or 'not-yet-valid', not \"wrong-sna\"; "
                "did you mean wrong-san?"
            ],
        ),
        ("[wrong-san, expired]", "[expired, expired]", ['15:15: elements.pa.presents: "expired" is listed twice; remove one']),
        # references
        ("[internet]", "[internt]", ['13:16: unknown network "internt"; did you mean internet?']),
        ("vendor: globex\n", "vendor: globx\n", ['14:13: unknown vendor "globx"; did you mean globex?']),
        ("vendor: globex\n", "vendor: zzz\n", ['14:13: unknown vendor "zzz"; known: acme, globex, initech, names']),
        ("vendor: globex\n", "vendor: acme\n", ['14:13: vendor "acme" cannot be a proxy; vendors that can: globex']),
        ("globex@2.0", "globex@2.1", ['18:13: vendor "globex" has no flavour "2.1"; did you mean 2.0 or 1.1?']),
        (
            "{proxy: pa}",
            "{proxy: px}",
            [
                '7:28: unknown element "px"; known: alice, bob, dns, pa, pb',
                '15:5: "pa" serves no domain and presents no certificate; remove presents',
            ],
        ),
        ("{proxy: pb}", "{proxy: bob}", ['8:27: "bob" is a user-agent, which serves no domain; SIP servers here: pa, pb']),
        ("{proxy: pb}", "{proxy: pb, routes: [{to: pc}]}", ['8:45: unknown element "pc"; known: alice, bob, dns, pa, pb']),
        ("{proxy: pb}", "{proxy: pb, routes: [{to: pb}]}", ['8:45: "pb" is no other SIP server; SIP servers here: pa']),
        (
            "  bob:\n",
            '  net: {role: trunk, options: {numbers: {"+49301": {behaviour: answer, cuase: 1}, "0301": {behaviour: answer}}}}\n  bob:\n',
            [
                '23:3: trunk "net" is on no network with a gateway; put both on one network',
                '23:72: elements.net.options.numbers["+49301"]: unknown key "cuase"; did you mean cause?',
                '23:83: elements.net.options.numbers.0301: "0301" is not a telephone number; write "+" and 3 to 15 digits, in quotes',
            ],
        ),
        (
            "{role: dns, vendor",
            "{role: dns, options: {spede: 1}, vendor",
            ['10:30: elements.dns.options: unknown key "spede"; known: faults'],
        ),
        (
            "{role: dns, vendor",
            "{role: dns, options: {faults: [{kind: drop, nmae: pa}]}, vendor",
            ['10:52: elements.dns.options.faults[0]: unknown key "nmae"; did you mean name?'],
        ),
        (
            "{role: dns, vendor",
            "{role: dns, options: {faults: [{kind: drop, seconds: 2}]}, vendor",
            ["10:61: elements.dns.options.faults[0].seconds: drop has no seconds; only delay has"],
        ),
        (
            "{role: dns, vendor",
            "{role: dns, options: {faults: [{kind: delay, seconds: true}, {kind: delay, seconds: '2'}]}, vendor",
            [
                "10:62: elements.dns.options.faults[0].seconds: must be a number, not true",
                '10:92: elements.dns.options.faults[1].seconds: must be a number, not "2"',
            ],
        ),
        (
            "  bob:\n",
            "  net: {role: trunk}\n  bob:\n",
            ['23:3: trunk "net" is on no network', '23:8: elements.net.options: key "numbers" is missing; add it'],
        ),
        (
            "  bob:\n",
            "  relay: {role: turn, options: {username: 'a:b', password: 5}}\n  bob:\n",
            [
                '23:43: elements.relay.options.username: is "a:b": string should match pattern',
                '23:60: elements.relay.options.password: must be text, not 5; quote it: "5"',
            ],
        ),
        (
            "  bob:\n",
            "  vm: {role: voicemail, options: {pin: 2468, beep_hz: 5, lock_after: yse}}\n  bob:\n",
            [
                '23:40: elements.vm.options.pin: must be text, not 2468; quote it: "2468"',
                "23:55: elements.vm.options.beep_hz: is 5: input should be greater than or equal to 300",
                '23:70: elements.vm.options.lock_after: must be a whole number, not "yse"',
            ],
        ),
        ("  bob:\n", "  n: {role: nat, options: [udp]}\n  bob:\n", ["23:27: elements.n.options: must be a mapping, not a list"]),
        (
            "{role: dns, vendor",
            "{role: dns, options: {faults: [{kind: drop, source: bbo}, {kind: drop, source: 198.18.0.0/24}]}, vendor",
            ['10:60: "bbo" is no element, address or network; did you mean bob?'],
        ),
        (
            "  bob:\n",
            '  gw: {role: gateway, options: {numbers: {"+49301": bbo@biloxi.example, "+49302": bob@biloxi.example}}}\n  bob:\n',
            ['23:53: nobody here is "bbo@biloxi.example"; did you mean bob@biloxi.example'],
        ),
        # what a file can hold and a line cannot
        (
            "title: Two domains",
            'title: "a\\nservices: {}"',
            ['3:8: title: "a\\nservices: {}" is not one line of text; write one, without control characters'],
        ),
        ("title: Two domains", 'title: "\\e[31mred"', ['3:8: title: "\\x1b[31mred" is not one line of text']),
        ("title: Two domains", "title: '  '", ['3:8: title: "  " is not one line of text']),
        ("title: Two domains", 'title: "\\ud800"', ["3:8: half a character, which no file can hold; write the character itself"]),
        ("title: Two domains", 'title: "\\U00110000"', ["3:11: names a character or a YAML version that does not exist"]),
        ("schema: 1\n", 'schema: 1\n"[key]": 1\n', ['2:1: unknown key "[key]"; known: domains, elements, matrix, name']),
        ("  bob:\n", '  "[key]":\n', ['23:3: elements["[key]"]: "[key]" is not a name']),
        ("{role: dns, vendor: names}", '{role: dns, "[key]": 1}', ['10:20: elements.dns: unknown key "[key]"']),
        ("name: pair", f"name: {'x' * 300}", [f'2:7: name: "{"x" * 57}…" is not a name; write lower-case']),
        ("role: proxy", f"role: {'proxy' * 100}", [f'12:11: elements.pa.role: unknown role "{("proxy" * 100)[:57]}…"']),
        (
            "  bob:\n",
            f"  {'b' * 31}:\n    count: 2\n",
            [f'23:3: "{"b" * 31}2" is longer than 31 characters; give the template a shorter name'],
        ),
        (
            "  bob:\n",
            "  alice1: {role: user-agent, vendor: acme, aor: a@atlanta.example}\n  alice: {role: user-agent}\n  bob:\n",
            ['24:3: duplicate key "alice", first on line 19; remove one'],
        ),
        (
            "    vendor: acme\n",
            "    vendor: acme\n    count: 2\n    start_after: [alice]\n",
            ['23:18: "alice1" would wait for itself'],
        ),
        ("schema: 1", "schema: 1.0", ["1:9: schema: must be a whole number, not 1.0"]),
        ("schema: 1", "schema: ~", ["1:9: schema: must be a whole number, not nothing"]),
        ("    presents: [wrong-san, expired]\n", "    count: 2.0\n", ["15:12: elements.pa.count: must be a whole number, not 2.0"]),
        (
            "    presents: [wrong-san, expired]\n",
            "    count: 1\n",
            ["15:12: elements.pa.count: is 1: input should be greater than or equal to 2"],
        ),
        ("internet: {}", "internet: {private: 1}", ["5:23: networks.internet.private: must be true or false, not 1"]),
        ("internet: {}", "internet: {ipv4: false, ipv6: false}", ["5:13: networks.internet: has neither IPv4 nor IPv6"]),
        ("internet: {}", "internet: {loss: 10}", ['5:20: networks.internet.loss: must be text, not 10; quote it: "10"']),
        ("internet: {}", "internet: {loss: 0.00%}", ['5:20: networks.internet.loss: "0.00%" is no loss']),
        ("internet: {}", "internet: {delay: 20 ms}", ['5:21: networks.internet.delay: "20 ms" is no delay']),
        ("[[alice, bob], [pa, pb]]", "[[]]", ["26:10: matrix[0]: is empty; give at least 1"]),
        ("[[alice, bob], [pa, pb]]", "{alice: bob}", ["26:9: matrix: must be a list, not a mapping"]),
        ("{proxy: pb}", "{proxy: pb, backup: [pc]}", ['8:40: unknown element "pc"; known: alice, bob, dns, pa, pb']),
        ("{proxy: pb}", "{proxy: pb, backup: [pb]}", ['8:40: "pb" is the proxy itself; name another, or none']),
        ("{proxy: pb}", "{proxy: pb, backup: [bob]}", ['8:40: "bob" is a user-agent, which serves no domain; SIP servers here: pa, pb']),
        (
            "alice@atlanta.example",
            "alice@atlant.example",
            ['22:10: unknown domain "atlant.example"; did you mean atlanta.example or biloxi.example?'],
        ),
        ("{proxy: pb}", "{proxy: pb, transit: pc}", ['8:40: unknown element "pc"; known: alice, bob, dns, pa, pb']),
        ("{proxy: pb}", "{proxy: pb, transit: pb}", ['8:40: "pb" is no other SIP server; SIP servers here: pa']),
        (
            "{proxy: pb}",
            "{proxy: pb, edges: [pc]}",
            ['8:39: unknown element "pc"; there are none'],
        ),
        (
            "{proxy: pb}",
            "{proxy: pb, edges: [pa]}",
            ['8:39: "pa" serves a domain itself; proxies here that serve none: none, add one: edge1: {role: proxy}'],
        ),
        (
            "{proxy: pb}",
            "{proxy: pb, edges: [bob]}",
            ['8:39: "bob" is a user-agent, not a proxy; proxies here that serve none: none, add one: edge1: {role: proxy}'],
        ),
        (
            "    vendor: globex\n",
            "    vendor: globex\n    options: {ring_seconds: 0}\n",
            ["15:29: elements.pa.options.ring_seconds: is 0: input should be greater than or equal to 1"],
        ),
        ("    aor: bob@biloxi.example\n", "", ['23:3: user agent "bob" has no address of record; add aor: user@domain']),
        ("    vendor: globex\n", "    aor: p@atlanta.example\n", ["14:5: a proxy has no account; remove aor"]),
        ("[alice, bob]", "[alice, bbo]", ['26:18: unknown element "bbo"; did you mean bob?']),
        ("[pa, pb]", "[pa, bob]", ['26:29: "bob" is in the matrix twice; remove one']),
        (
            "role: dns, vendor: names",
            "role: tool",
            [
                "9:1: domains need a name server and no element has the role dns; add one: dns: {role: dns}",
                "10:15: a tool is an image, not an element; choose another role",
            ],
        ),
        ("biloxi.example: {proxy", "siplab.example: {proxy", ['8:3: "siplab.example" is the lab\'s own domain; choose another']),
        (
            "  dns: {role: dns, vendor: names}\n",
            "",
            ["9:1: domains need a name server and no element has the role dns; add one: dns: {role: dns}"],
        ),
        ("  bob:\n", "  expired:\n", ['23:3: "expired" is the host name of a faulty certificate; choose another name']),
    ],
)
def test_mistakes(root: Path, old: str, new: str, expected: list[str]) -> None:
    found = complaints(root, old, new)
    assert [line[: len(start)] for line, start in zip(found, expected, strict=False)] == expected


def test_all_errors_in_order(root: Path) -> None:
    text = TOPOLOGY.replace("title: Two domains", "title: 5").replace("role: dns", "role: dsn").replace("schema: 1", "schema: 3")
    with pytest.raises(SpecError) as caught:
        rewritten(root, text)
    assert [error.where for error in caught.value.errors] == [
        Where("topologies/pair.yaml", 1, 9),
        Where("topologies/pair.yaml", 3, 8),
        Where("topologies/pair.yaml", 10, 15),
    ]
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("text", ["- a\n- b\n", "just text\n", "5\n"])
def test_not_a_mapping(root: Path, text: str) -> None:
    with pytest.raises(SpecError, match=r"^topologies/pair.yaml:1:1: must be a mapping, not "):
        rewritten(root, text)


def test_json_schema() -> None:
    schema = topology_json_schema()
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == {"schema", "name", "title", "networks", "elements"}
    element = schema["$defs"]["ElementSpec"]
    assert "user-agent" in element["properties"]["role"]["enum"]
    assert element["properties"]["presents"]["items"]["enum"] == ["wrong-san", "unknown-ca", "expired", "not-yet-valid"]
    assert schema["properties"]["schema"]["const"] == 1
