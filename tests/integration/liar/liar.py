"""A real agent behind one that lies: each lie has to be found, in its own row, and nothing else."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import threading

signal.signal(signal.SIGTERM, signal.SIG_IGN)  # first lie: it never ends by SIGTERM
config = pathlib.Path("/etc/siplab/agent.json")
config.write_text(json.dumps({**json.loads(config.read_text()), "certificate": None, "key": None}))  # second lie: it hides its certificate
agent = subprocess.Popen(
    ["python3", "-m", "siplab_pjsip"],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
)


def say(line):
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


def asked():
    for line in sys.stdin.buffer:
        if line.strip() == b"not json":
            say(b"Warning: this is no protocol\n")  # third lie: it prints rubbish
        if b'"method":"call.dtmf"' in line and b'"via":"info"' in line:
            continue  # fourth lie: it hangs
        agent.stdin.write(line)
        agent.stdin.flush()
    agent.stdin.close()


threading.Thread(target=asked, daemon=True).start()
for told in agent.stdout:
    message = json.loads(told)
    if "capabilities" in message.get("result", {}):
        message["result"]["capabilities"] += ["srtp-dtls", "zrtp", "naptr"]  # fifth lie: it declares what it cannot
    say(json.dumps(message).encode() + b"\n")
os._exit(agent.wait())
