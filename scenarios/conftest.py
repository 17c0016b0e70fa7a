"""The elements of a topology as fixtures, under the names that the field gives them."""

import pytest


@pytest.fixture
def alice(lab):
    """The caller, in atlanta.example."""
    return lab.user_agent("alice")


@pytest.fixture
def carol(lab):
    """A third user agent, where a topology has one."""
    return lab.user_agent("carol")


@pytest.fixture
def bob(lab):
    """The callee, in biloxi.example."""
    return lab.user_agent("bob")
