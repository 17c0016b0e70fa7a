"""The agent of the reference user agent: the agent contract on one side, lab/sip on the other."""
