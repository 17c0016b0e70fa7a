"""The lab's end of an agent that runs in a thread of the test."""

import json
import os
import threading

from siplab_agent.config import Config
from siplab_agent.wire import Wire

ACCOUNT = {
    "aor": "sip:alice@a",
    "username": "alice",
    "password": "secret",
    "proxy": "sip:p.a:5060;transport=udp",
    "transport": "udp",
    "media": "rtp",
}
"""Of `account.add`."""


def spawning(monkeypatch, agent_class, instead):
    """The agent starts what `instead` makes of each command line."""
    spawn = agent_class.spawn
    monkeypatch.setattr(agent_class, "spawn", lambda self, argv, **options: spawn(self, instead(argv), **options))


class Driver:
    """Asks, and waits for events. `agent_class` is a vendor's; its signals and its last resort are left out, as they are the process's."""

    def __init__(self, agent_class, recordings, host="198.18.0.1", rtp_ports=(40000, 40098), ca=None, account=ACCOUNT, ipv6=None):
        requests, self._requests = os.pipe()
        answers, out = os.pipe()
        self._answers = os.fdopen(answers, "rb")
        config = Config("alice", host, ipv6, (), 440, rtp_ports, ca, None, None, str(recordings), None, "info")
        self.agent = agent_class(config, Wire(requests, out))
        self.agent._install_signals = lambda: None
        self.agent._give_up = lambda: None
        self.thread = threading.Thread(target=self.agent.run, daemon=True)
        self.thread.start()
        self.events = []
        self._count = 0
        self.account = account

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

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

    def take(self, name, **members):
        """The same, and the next one is another."""
        event = self.event(name, **members)
        self.events.remove(event)
        return event

    def add(self, **changes):
        """A new account's id."""
        return self.ask("account.add", **{**self.account, **changes})["result"]["account"]

    def close(self):
        """End of input; the agent's thread has to end by itself."""
        os.close(self._requests)
        self.thread.join(5)
