"""What a lab leaves in its folder beside the capture: its plan, its configuration, and the log files of its elements."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from lab.plan.model import Plan
from lab.plan.show import plan_to_dict
from lab.render.files import Rendering
from lab.runtime.base import Runtime


def write_plan(folder: Path, plan: Plan, rendering: Rendering) -> None:
    """`plan.json`, and below `rendered` every file that an element was given, but for private keys."""
    (folder / "plan.json").write_text(json.dumps(plan_to_dict(plan), indent=2) + "\n")
    for element, files in rendering.files.items():
        for path, file in files.items():
            if not path.endswith(".key"):
                target = folder / "rendered" / element / path.lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.data)


def fetch_logs(runtime: Runtime, handle: str, paths: Sequence[str], folder: Path) -> None:
    """The log files that a manifest names, out of a container that runs or has ended. RuntimeFault where one is not there."""
    for path in paths:
        for file, data in runtime.fetch(handle, path).items():
            folder.mkdir(parents=True, exist_ok=True)
            (folder / Path(file).name).write_bytes(data)
