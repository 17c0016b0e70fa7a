"""Asterisk behind the agent contract. See ../README.md."""
