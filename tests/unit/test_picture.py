"""Pictures of topologies: what is drawn, where it stands, and that no text breaks out of it."""

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from lab.picture.layout import arrange
from lab.picture.mermaid import as_mermaid
from lab.picture.model import Arrow, Bus, Node, Picture, Place, Realm, clean, picture
from lab.picture.page import PAGE, Subject, documents, subjects_of
from lab.picture.svg import as_svg
from lab.picture.text import as_text
from lab.plan.build import make_plan
from lab.spec.topology import Topology

HOSTILE = '</text><script>alert(1)</script>" ]]> & \x1b[31m\u202e'
SVG = "{http://www.w3.org/2000/svg}"


def node(name: str, role: str, *networks: str, **members: object) -> Node:
    places = tuple(Place(net, (f"198.18.0.{len(name)}", "2001:db8::1"), ".1 ::1") for net in networks)
    return replace(Node(name, role, "acme@1.1", places, "", "", ()), **members)


def drawing(*nodes: Node, networks: tuple[str, ...] = ("internet",), title: str = "A title") -> Picture:
    buses = tuple(Bus(name, ("198.18.0.0/24", "2001:db8::/64"), name.startswith("home")) for name in networks)
    return Picture("lab", title, buses, nodes, (Realm("atlanta.example", "pa", ("alice",), (Arrow("gw", "users +*, over udp"),)),))


NAT = drawing(
    node("dns", "dns", "home-a", "internet", "home-b"),
    node("pa", "proxy", "internet", domain="atlanta.example", identity="serves atlanta.example"),
    node("nat1", "nat", "home-a", "internet", notes=("type: symmetric",)),
    node("nat2", "nat", "home-b", "internet"),
    node("alice", "user-agent", "home-a", domain="atlanta.example", identity="alice@atlanta.example"),
    node("bob", "user-agent", "home-b"),
    networks=("internet", "home-b", "home-a"),
)

TEXT = """\
lab: A title

══ internet ══ 198.18.0.0/24 ══ 2001:db8::/64 ════════════════════════════════
 ├─ pa     proxy       acme@1.1  198.18.0.2  2001:db8::1  serves atlanta.example
 └─ alice  user-agent  acme@1.1  198.18.0.5  2001:db8::1  alice@atlanta.example

Domains
  atlanta.example  served by pa  users: alice
      → gw: users +*, over udp
"""


# -- what is drawn --------------------------------------------------------------------------------------------------------------------


def test_a_plan_becomes_a_picture(tmp_path):
    from spec_fixtures import loaded

    topology, known = loaded(tmp_path)
    given = topology.model_dump(by_alias=True)
    given["elements"]["bob"]["vendor"] = "acme@2.0"
    given["domains"]["atlanta.example"]["routes"] = (
        {"user": "+*", "to": "pb", "transport": "tcp"},
        {"on": (408, 486), "to": "pb", "transport": "tls"},
    )
    chosen = Topology.model_validate(given)
    drawn = picture(chosen, replace(make_plan(chosen, {}, known), title="Two\tdomains"))
    pa = next(each for each in drawn.elements if each.name == "pa")
    assert drawn.title == "Two·domains"
    assert (pa.identity, pa.domain, pa.notes) == ("serves atlanta.example", "atlanta.example", ("2 faulty certificates",))
    assert pa.places[0].short == f".{pa.places[0].addresses[0].rpartition('.')[2]} ::{pa.places[0].addresses[1].rpartition(':')[2]}"
    assert drawn.domains[0].users == ("alice",)
    assert [route.text for route in drawn.domains[0].routes] == ["users +*, over tcp", "all users, after 408 or 486, over tls"]


def test_the_text():
    nodes = [each for each in NAT.elements if each.name in ("pa", "alice")]
    moved = [replace(each, places=(replace(each.places[0], network="internet"),)) for each in nodes]
    assert as_text(drawing(*moved)) == TEXT


def test_the_text_says_where_a_nat_leads_and_who_is_elsewhere_too():
    text = as_text(NAT)
    assert text.count("type: symmetric; leads to internet") == 1
    assert text.count("type: symmetric; leads to home-a") == 1
    assert "also on internet, home-b" in text
    assert "══ home-a (private) ══ 198.18.0.0/24 ══" in text


# -- where it stands ------------------------------------------------------------------------------------------------------------------


def test_nats_stand_between_their_networks_and_users_at_the_edges():
    layout = arrange(NAT)
    spots = {spot.node.name: spot for spot in layout.spots}
    assert [bus.name for bus in layout.buses] in (["home-a", "internet", "home-b"], ["home-b", "internet", "home-a"])
    inner = {spots["nat1"].row, spots["nat2"].row}
    assert inner == {1, 2}
    assert {spots["alice"].row, spots["bob"].row} == {0, 3}
    assert spots["dns"].ends == (0, 1, 2)


def test_no_two_boxes_share_a_place_and_no_line_crosses_a_box():
    layout = arrange(NAT)
    taken = [(spot.row, spot.column) for spot in layout.spots]
    taken += [(row, s.column) for s in layout.spots for row in range(s.ends[0] + 1, s.ends[-1] + 1) if row != s.row]
    assert len(taken) == len(set(taken))
    for row, column in taken:
        assert 0 <= column < layout.columns, row


def test_on_one_network_servers_are_above_and_users_below():
    rows = {
        spot.node.name: spot.row for spot in arrange(drawing(node("pa", "proxy", "internet"), node("al", "user-agent", "internet"))).spots
    }
    assert rows == {"pa": 0, "al": 1}


def test_many_networks_keep_the_files_order():
    names = tuple(f"n{number}" for number in range(9))
    layout = arrange(drawing(*(node(f"e{number}", "proxy", name) for number, name in enumerate(names)), networks=names))
    assert tuple(bus.name for bus in layout.buses) == names


# -- SVG and Mermaid ------------------------------------------------------------------------------------------------------------------


def test_the_svg_holds_every_element_network_and_domain():
    text = "".join(ElementTree.fromstring(as_svg(NAT)).itertext())
    for word in ("home-a", "internet", "home-b", "nat1", "alice@atlanta.example", "type: symmetric", "users +*, over udp", "A title"):
        assert word in text


def test_a_line_for_each_place_of_an_element():
    tree = ElementTree.fromstring(as_svg(NAT))
    assert len(tree.findall(f".//{SVG}line")) == sum(len(each.places) for each in NAT.elements)


@pytest.mark.parametrize("drawn", [as_svg, as_mermaid, as_text])
def test_hostile_text_stays_text(drawn):
    hostile = clean(HOSTILE)
    made = drawn(drawing(node("pa", "proxy", "internet", identity=hostile, notes=(hostile,)), title=hostile))
    assert "\x1b" not in made
    assert "\u202e" not in made
    if drawn is as_svg:
        assert not ElementTree.fromstring(made).findall(f".//{SVG}script")
    if drawn is as_mermaid:
        label = made.split("flowchart TB", 1)[1]
        assert "<script" not in label
        assert '" ]]>' not in label


def test_mermaid_never_uses_its_own_words_as_names():
    made = as_mermaid(drawing(node("end", "proxy", "internet")))
    assert '  el_end["<b>end</b><br/>proxy · acme@1.1"]' in made
    assert '  net_internet ---|".1 ::1"| el_end' in made


# -- the page -------------------------------------------------------------------------------------------------------------------------


def test_the_page_has_a_section_and_a_picture_for_each():
    made = documents([NAT], {"lab": [Subject("test_b.py", "B"), Subject("test_a.py", "A [x](y)")]})
    page = made[PAGE]
    assert "## lab" in page
    assert "](../pictures/lab.svg)" in page
    assert page.index("test_a.py") < page.index("test_b.py")
    assert "A \\[x\\](y)" in page
    assert "acme@1.1" not in made["docs/pictures/lab.svg"]


def test_scenario_files_tell_their_topology():
    source = '"""A busy line.\n\nMore."""\nimport pytest\npytestmark = pytest.mark.lab(topology="lab", needs={})\n'
    assert subjects_of(source, "test_busy.py") == {"lab": Subject("test_busy.py", "A busy line")}
    assert subjects_of("import pytest\n", "test_none.py") == {}
