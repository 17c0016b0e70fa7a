"""Run the agent."""

from .agent import TwinkleAgent

TwinkleAgent.main()
