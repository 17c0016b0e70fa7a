"""The elements of a topology as fixtures, under the names that the field gives them."""

import pytest


@pytest.fixture
def alice(lab):
    """The caller, in atlanta.example."""
    return lab.user_agent("alice")


@pytest.fixture
def bob(lab):
    """The callee, in biloxi.example."""
    return lab.user_agent("bob")


@pytest.fixture
def carol(lab):
    """A callee in a third domain, chicago.example."""
    return lab.user_agent("carol")


@pytest.fixture
def mallory(lab):
    """The attacker: a SIP address that answers as told."""
    return lab.attacker("mallory")


@pytest.fixture
def dns(lab):
    """The lab's name server; proxies that can have forgotten what it said before."""
    for proxy in lab.plan.with_role("proxy"):
        server = lab.server(proxy.name)
        if server.can("forget"):
            server.do("forget")
    return lab.name_server
