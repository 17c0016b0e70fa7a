"""python3 -m siplab_reference: the agent as the container's main process."""

from .agent import ReferenceAgent

if __name__ == "__main__":
    ReferenceAgent.main()
