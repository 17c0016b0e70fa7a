"""Registrar and routing around Sippy's B2BUA, which are ours and need nothing of it."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "images" / "sippy"))

from siplab_sippy.routing import LONGEST, Routing

AOR = "alice@atlanta.example"


@pytest.fixture
def clock():
    return [100.0]


@pytest.fixture
def routing(clock):
    accounts = {"atlanta.example": {"alice": "secret"}}
    return Routing("198.18.0.20", accounts, {"biloxi.example": "198.18.0.21"}, now=lambda: clock[0])


def test_the_rendered_file_is_read(tmp_path):
    path = tmp_path / "routes.json"
    path.write_text(json.dumps({"address": "198.18.0.20", "accounts": {"a": {"u": "p"}}, "peers": {}}))
    assert Routing.load(str(path)).password("u", "a") == "p"
    path.write_text("{}")
    with pytest.raises(TypeError, match="address"):
        Routing.load(str(path))


def test_a_password_is_that_of_user_and_domain(routing):
    assert routing.password("alice", "atlanta.example") == "secret"
    assert routing.password("bob", "atlanta.example") is None
    assert routing.password("alice", "biloxi.example") is None


def test_a_binding_ends_with_its_time(routing, clock):
    assert routing.bind(AOR, "sip:alice@198.18.0.30", 60) == 60
    assert routing.contact(AOR) == "sip:alice@198.18.0.30"
    clock[0] += 60
    assert routing.contact(AOR) is None


def test_a_binding_lasts_no_longer_than_we_allow(routing):
    assert routing.bind(AOR, "sip:alice@198.18.0.30", 10**9) == LONGEST


def test_expires_0_takes_a_binding_back(routing):
    routing.bind(AOR, "sip:alice@198.18.0.30", 60)
    assert routing.bind(AOR, "sip:alice@198.18.0.30", 0) == 0
    assert routing.contact(AOR) is None


def test_a_domain_speaks_from_its_proxys_address_only(routing):
    assert routing.may_send("biloxi.example", "198.18.0.21")
    assert not routing.may_send("biloxi.example", "198.18.0.31")
    assert not routing.may_send("chicago.example", "198.18.0.21")


def test_bindings_by_hand(routing):
    routing.bind(AOR, "sip:alice@198.18.0.30", 60)
    assert routing.command(f"list {AOR}\n") == "OK sip:alice@198.18.0.30"
    assert routing.command(f"flush {AOR} \n") == "OK"
    assert routing.command(f"list {AOR}\n") == "OK "
    assert routing.command("flush nobody@atlanta.example\n") == "OK"
    assert not routing.command("drop everything\n").startswith("OK")
