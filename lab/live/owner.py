"""The process that a lab lives and dies with: brings it up, does what is asked for on its socket, takes it down.

Its agents speak over pipes that only it holds, and its death, however it comes, is what makes the watchdog remove the lab.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from lab.agents.call import Call
from lab.errors import LabError, RuntimeFault, SpecError
from lab.live.call import Wanted, hang_up, place
from lab.live.found import Say
from lab.live.lines import SOCKET, Talk, listen
from lab.live.watch import Watch
from lab.picture.model import picture
from lab.picture.text import as_text
from lab.plan.model import Plan
from lab.session.bench import Bench
from lab.spec.names import nearest

Operation = Callable[[dict[str, Any], Say], dict[str, Any]]
LOOK_EVERY = 0.5
"""Seconds between two looks at what there is to tell; a message on the wire is told at once."""
LAST_WORD = 5.0
"""Seconds in which whoever asked for the end is told of it."""


class Owner:
    """Holds a bench that is up."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._since = datetime.now(UTC)
        self._one_at_a_time = threading.Lock()
        self._stopping = threading.Event()
        self._gone = threading.Event()
        self._end: dict[str, Any] = {}
        self._kept: list[list[Call]] = []
        self._calls = 0
        self._talks: list[threading.Thread] = []
        self._socket = listen(bench.setup.folder)
        threading.Thread(target=self._accept, name="socket", daemon=True).start()

    # -- life ---------------------------------------------------------------------------------------------------------------------

    def serve(self, say: Say) -> None:
        """Tell what happens until somebody asks for the end."""
        watch = Watch(self._bench)
        while not self._stopping.is_set():
            for line in watch.lines(LOOK_EVERY, self._stopping):
                say(line)

    def down(self, say: Say) -> None:
        """Take the lab down, saving its evidence, and let everybody who asked for it know."""
        self._stopping.set()
        folder = self._bench.setup.folder
        (folder / SOCKET).unlink(missing_ok=True)
        try:
            for line in self._guests():
                say(line)
                self._end.setdefault("guests", []).append(line)
            self._bench.down()
            self._end["folder"] = str(folder)
        except LabError as error:
            self._end["error"] = str(error)
            raise
        finally:
            self._gone.set()
            self._socket.close()
            for talk in self._talks:
                talk.join(LAST_WORD)

    def _guests(self) -> list[str]:
        guests = self._bench.guests()
        return [f"{guest} is disconnected from {network}: it is not the lab's, and goes on without it" for guest, network in guests]

    # -- the socket ---------------------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._socket.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._answer, args=(Talk(sock),), name="talk", daemon=True)
            self._talks = [talk for talk in self._talks if talk.is_alive()] + [thread]
            thread.start()

    def _answer(self, talk: Talk) -> None:
        try:
            heard = talk.hear()
            if heard is not None:
                talk.say(**self._outcome(heard, lambda line: talk.say(line=line)))
        except OSError:
            pass  # whoever asked has gone: what was asked for is done all the same
        except LabError as error:
            talk.say(error=str(error), exit=error.exit_code)
        finally:
            talk.close()

    def _outcome(self, heard: dict[str, Any], say: Say) -> dict[str, Any]:
        try:
            return {"result": self.do(str(heard.get("operation")), dict(heard.get("params") or {}), say)}
        except LabError as error:
            more = {name: getattr(error, name) for name in ("element", "code") if hasattr(error, name)}
            return {"error": str(error), "exit": error.exit_code, **more}
        except (KeyError, TypeError, ValueError) as error:
            return {"error": f"what was asked of the lab cannot be understood: {error!r}", "exit": SpecError.exit_code}

    def do(self, operation: str, params: dict[str, Any], say: Say) -> dict[str, Any]:
        """Do what was asked for. Whatever touches elements is done one after the other."""
        if operation == "status":
            return self.status()
        if operation == "down":
            return self._await_end()
        operations: dict[str, Operation] = {
            "call": self._call, "hangup": self._hang_up, "agent": self._agent, "control": self._control,
        }  # fmt: skip
        if operation not in operations:
            raise SpecError(f'a lab knows no operation "{operation}"', remedy=nearest(operation, operations))
        with self._one_at_a_time:
            return operations[operation](params, say)

    # -- operations ---------------------------------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Everything that somebody who comes by wants to know."""
        bench = self._bench
        dead = bench.dead()
        return {
            "lab": bench.identity.lab,
            "topology": bench.plan.topology,
            "title": bench.plan.title,
            "owner": os.getpid(),
            "since": self._since.isoformat(timespec="seconds"),
            "folder": str(bench.setup.folder),
            "elements": [
                {
                    "name": element.name,
                    "role": element.role,
                    "vendor": f"{element.vendor}@{element.flavour}",
                    "version": bench.versions.get(element.name, ""),
                    "addresses": [str(address) for place in element.interfaces for address in place.addresses],
                    "account": element.account.aor if element.account else "",
                    "password": element.account.password if element.account else "",
                    "commands": sorted(bench.servers[element.name].commands),
                    "state": dead.get(element.name, "running"),
                }
                for element in bench.plan.elements
            ],
            "networks": [
                {"name": name, "docker": docker, "join": join_command(bench.plan, name, docker)} for name, docker in bench.networks.items()
            ],
            "picture": as_text(picture(bench.setup.topology, bench.plan)),
        }

    def _await_end(self) -> dict[str, Any]:
        self._stopping.set()
        self._gone.wait()
        if "error" in self._end:
            raise RuntimeFault(str(self._end["error"]))
        return dict(self._end)

    def _call(self, params: dict[str, Any], say: Say) -> dict[str, Any]:
        wanted = Wanted(**params)
        self._calls += 1
        placed = place(self._bench, wanted, self._bench.setup.folder / "calls" / str(self._calls), say)
        if placed.legs:
            self._kept.append(placed.legs)
        return placed.to_dict()

    def _hang_up(self, params: dict[str, Any], say: Say) -> dict[str, Any]:
        kept, self._kept = self._kept, []
        for legs in kept:
            hang_up(legs)
        return {"calls": len(kept)}

    def _agent(self, params: dict[str, Any], say: Say) -> dict[str, Any]:
        """A request to an element's agent, as the contract has it. `element` may be left out where one element has the `role`."""
        name = self._element(params)
        if name not in self._bench.agents:
            raise SpecError(f"{name} has no agent", remedy=nearest(name, self._bench.agents))
        return {"element": name, "answer": self._bench.agents[name].request(str(params["method"]), **dict(params.get("params") or {}))}

    def _control(self, params: dict[str, Any], say: Say) -> dict[str, Any]:
        """A control command of an element's manifest."""
        name = self._element(params)
        output = self._bench.servers[name].do(str(params["command"]), **dict(params.get("values") or {}))
        return {"element": name, "output": output}

    def _element(self, params: dict[str, Any]) -> str:
        name, role = str(params.get("element") or ""), str(params.get("role") or "")
        able = [e.name for e in self._bench.plan.elements if not role or e.role == role]
        if name:
            if name not in able:
                what = f'no element "{name}"' + (f" with the role {role}" if role else "")
                raise SpecError(f"{what} in this lab", remedy=nearest(name, able) if able else "there is none at all")
            return name
        if len(able) != 1:
            raise SpecError(f"this lab has {len(able)} elements with the role {role}", remedy=f"name one: {', '.join(able)}")
        return able[0]


def join_command(plan: Plan, network: str, docker: str) -> str:
    """How somebody puts a container of their own on a network of the lab, with the lab's DNS where that is on it."""
    places = (place for element in plan.with_role("dns") for place in element.interfaces if place.network == network)
    servers = [str(address) for place in places for address in place.addresses]
    dns = f" --dns {servers[0]}" if servers else ""
    return f"docker run --rm -it --network {docker}{dns} IMAGE"
