"""Typed clients of the agent contract: what scenarios hold in their hands."""
