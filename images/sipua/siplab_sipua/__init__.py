"""The agent of sipua: the agent contract on one side, the sipua library on the other."""
