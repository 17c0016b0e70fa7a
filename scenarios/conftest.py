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
def bobs(lab):
    """The user agents of three vendors that share one address of record."""
    return [lab.user_agent(name) for name in ("bob1", "bob2", "bob3")]


@pytest.fixture
def refs(lab):
    """Two of the lab's own user agents at the same address of record, for what no vendor does on demand."""
    return [lab.user_agent(name) for name in ("ref1", "ref2")]


@pytest.fixture
def carol(lab):
    """The third party, where the topology has one."""
    return lab.user_agent("carol")


@pytest.fixture
def dave(lab):
    """One of the lab's own user agents, in biloxi.example."""
    return lab.user_agent("dave")


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


@pytest.fixture
def forked(lab):
    """Asks whether the proxy has sent the INVITE to each of these user agents, and waits for it as long as they may need."""

    def ask(*names):
        for name in names:
            lab.wire.wait(lambda m, name=name: m.is_request and m.method == "INVITE" and m.dst.element == name, within=5.0)
        return lab.wire.forking.reached(*names, by="p")

    return ask


@pytest.fixture
def traversed(lab):
    """Makes a call with ICE and hears its audio; what the wire shows of how the two reached each other."""

    def talk(caller, callee):
        for agent in (caller, callee):
            agent.register(transport="tcp", **lab.traversal(agent.name))
        call = caller.invite(callee.aor)
        leg = callee.expect_invite()
        leg.answer()
        assert call.established()
        assert leg.established()
        assert lab.talking(call, leg, within=8)
        traversal = lab.wire.traversal
        call.bye()
        assert leg.ended()
        return traversal

    return talk
