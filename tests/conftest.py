"""What all tests may use."""

from hypothesis import settings

pytest_plugins = ["pytester"]

settings.register_profile("siplab", deadline=None, derandomize=True)  # a loaded machine is slow, and CI must not depend on luck
settings.load_profile("siplab")
