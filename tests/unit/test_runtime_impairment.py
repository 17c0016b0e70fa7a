"""What counts as a network that is as bad as its topology says, and the rules and queues that make it so, on the fake."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.errors import RuntimeFault
from lab.runtime.base import ContainerSpec, ExecResult
from lab.runtime.fake import FakeImage, FakeRuntime
from lab.runtime.impairment import Impairment, Measured, impair, verify
from lab.runtime.labels import Identity

BAD = Impairment("access", "sl00000000n0", loss=0.1, rate=1_000_000, delay=0.02)
GOOD = Measured(sent=1000, answered=810, round_trip=0.041, rate=950_000)


def test_what_was_measured_has_to_fit() -> None:
    verify(GOOD, BAD)
    for wrong, message in (
        (replace(GOOD, answered=1000), "loss is not as stated"),
        (replace(GOOD, round_trip=0.02), "delay is not as stated"),
        (replace(GOOD, rate=5_000_000), "rate is not as stated"),
    ):
        with pytest.raises(RuntimeFault, match=f"network access: {message}"):
            verify(wrong, BAD)


def test_rules_and_queues() -> None:
    seen: list[tuple[tuple[str, ...], bytes | None]] = []

    def execute(argv: tuple[str, ...], stdin: bytes | None) -> ExecResult:
        seen.append((argv, stdin))
        return ExecResult(0, b"veth1\nveth2\n" if argv[0] == "ls" else b"", b"")

    runtime, helper, identity = started(FakeImage(execute=execute))
    impair(runtime, helper, identity, [BAD])
    rules = next(stdin for argv, stdin in seen if argv[0] == "nft")
    assert rules is not None
    assert f"table bridge sl{identity.lab}n" in rules.decode()
    assert "iifname { veth1, veth2 } ether type { ip, ip6 } numgen random mod 100000 < 10000 counter drop;" in rules.decode()
    assert next(argv[-4:] for argv, _ in seen if argv[0] == "sh") == ("sl00000000n0", "1000000", "4000", "20")


def test_a_kernel_without_netem_is_told_in_one_line() -> None:
    def execute(argv: tuple[str, ...], stdin: bytes | None) -> ExecResult:
        return ExecResult(2, b"", b"Error: Specified qdisc kind is unknown.\n") if argv[0] == "sh" else ExecResult(0, b"veth1\n", b"")

    runtime, helper, identity = started(FakeImage(execute=execute))
    with pytest.raises(RuntimeFault, match="network access: delay: not on this kernel, it needs netem"):
        impair(runtime, helper, identity, [BAD])


def started(image: FakeImage) -> tuple[FakeRuntime, str, Identity]:
    runtime, identity = FakeRuntime({"helper": image}), Identity()
    helper = runtime.create(ContainerSpec(identity.name("helper"), "helper"))
    runtime.start(helper)
    return runtime, helper, identity
