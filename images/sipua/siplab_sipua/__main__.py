"""python3 -m siplab_sipua: the agent as the container's main process."""

from .agent import SipuaAgent

if __name__ == "__main__":
    SipuaAgent.main()
