"""The lab's end of an agent that runs in a thread of the test."""

import json
import os
import threading

from siplab_agent.config import Config
from siplab_agent.wire import Wire


class Driver:
    """Asks, and waits for events. `agent_class` is a vendor's; its signals and its last resort are left out, as they are the process's."""

    def __init__(self, agent_class, recordings, host="198.18.0.1", rtp_ports=(40000, 40098), ipv6=None):
        requests, self._requests = os.pipe()
        answers, out = os.pipe()
        self._answers = os.fdopen(answers, "rb")
        config = Config("alice", host, ipv6, (), 440, rtp_ports, None, None, None, str(recordings), None, "info")
        self.agent = agent_class(config, Wire(requests, out))
        self.agent._install_signals = lambda: None
        self.agent._give_up = lambda: None
        self.thread = threading.Thread(target=self.agent.run, daemon=True)
        self.thread.start()
        self.events = []
        self._count = 0

    def ask(self, method, **params):
        self.send(method, **params)
        return self.answer()

    def send(self, method, **params):
        self._count += 1
        os.write(self._requests, json.dumps({"id": self._count, "method": method, "params": params}).encode() + b"\n")

    def answer(self):
        while True:
            message = json.loads(self._answers.readline())
            if "event" not in message:
                return message
            self.events.append(message)

    def event(self, name, **members):
        while True:
            for event in self.events:
                if event["event"] == name and all(event.get(key) == value for key, value in members.items()):
                    return event
            self.events.append(json.loads(self._answers.readline()))

    def close(self):
        """End of input; the agent's thread has to end by itself."""
        os.close(self._requests)
        self.thread.join(5)
