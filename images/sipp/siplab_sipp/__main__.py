"""Run the agent."""

from .agent import SippAgent

SippAgent.main()
