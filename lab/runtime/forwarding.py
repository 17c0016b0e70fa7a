"""Letting a lab's routers route, where the host's firewall sees what crosses a bridge (br_netfilter).

Engines keep `internal` networks apart with rules for the host's own forwarding: nothing that is not for the subnet may enter or leave a
bridge. With br_netfilter on, these rules meet the frames inside a bridge too, and drop what an element sends through a router beside it.
One rule per lab excepts frames that are bridged from port to port of its own bridges; what the host would route stays forbidden.

It is in two chains: in the one that engines leave to others, and in the one with the rules that drop. Whenever a network is created, an
engine takes the jump to the first away and puts it back: for these milliseconds, 16 times in 100 s on a busy host, only the second
counts.

The rule lives on the host, so it must not outlive its lab. Who removes a lab (owner, watchdog or sweep) has the helper take it away first,
and once that has begun no more can be put: an owner that was killed may have left a command under way. Should a helper be removed by other
hands, the next lab that opens takes away the rules of labs that have no bridge any more.
"""

from __future__ import annotations

from collections.abc import Mapping

from lab.errors import RuntimeFault
from lab.runtime.base import Runtime
from lab.runtime.labels import Identity

FORWARDING = "forwarding"
"""Label of a helper that may have put a rule: who removes it has the rule taken away first."""

_COMMON = """
mkdir -p /run/siplab
exec 9>/run/siplab/forwarding
flock -w 20 9
tables() {
  for tool in iptables-nft ip6tables-nft iptables-legacy ip6tables-legacy; do
    case $tool in
    iptables-legacy) grep -qsx filter /proc/net/ip_tables_names || continue ;;
    ip6tables-legacy) grep -qsx filter /proc/net/ip6_tables_names || continue ;;
    esac
    if "$tool" -w 10 -S DOCKER-USER >/dev/null 2>&1; then echo "$tool"; fi
  done
}
chains() {
  for chain in DOCKER-USER DOCKER-ISOLATION-STAGE-1; do
    if "$1" -w 10 -S "$chain" >/dev/null 2>&1; then echo "$chain"; fi
  done
}
rule() { echo "$1 -i $2 -m physdev --physdev-is-bridged -j ACCEPT"; }
"""
_OPEN = (
    _COMMON
    + """
[ ! -e /run/siplab/forwarding-closed ] || { echo "this lab is being removed" >&2; exit 1; }
for tool in $(tables); do
  for chain in $(chains "$tool"); do
    for stale in $("$tool" -w 10 -S "$chain" | sed -n 's/^-A [A-Z0-9-]* -i \\(sl[0-9a-f]\\{8\\}n\\)+ -m physdev .*/\\1/p'); do
      ls -d /sys/class/net/"$stale"* >/dev/null 2>&1 || "$tool" -w 10 -D $(rule "$chain" "$stale+") || true
    done
  done
  case $tool in ip6*) family=ip6 ;; *) family=ip ;; esac
  if [ "$(cat /proc/sys/net/bridge/bridge-nf-call-"$family"tables 2>/dev/null)" = 1 ]; then
    for chain in $(chains "$tool"); do "$tool" -w 10 -I $(rule "$chain" "$1"); done
    echo "$tool"
  fi
done
"""
)
_CLOSE = (
    _COMMON
    + """
touch /run/siplab/forwarding-closed
for tool in $(tables); do
  for chain in $(chains "$tool"); do
    while "$tool" -w 10 -C $(rule "$chain" "$1") 2>/dev/null; do "$tool" -w 10 -D $(rule "$chain" "$1"); done
  done
done
if nft list table bridge "${1%+}" >/dev/null 2>&1; then nft delete table bridge "${1%+}"; fi
"""
)


def open_forwarding(runtime: Runtime, helper: str, identity: Identity) -> tuple[str, ...]:
    """Where the host's firewall sees bridged frames, let those of this lab's bridges pass; in which tables. Elsewhere nothing is done.

    Whether it is needed is asked of the kernel at run time: a family's firewall is called for bridges, and the engine has its chain there.
    """
    return tuple(_run(runtime, helper, _OPEN, identity.bridges).split())


def close_forwarding(runtime: Runtime, helper: str, labels: Mapping[str, str]) -> None:
    """Take the rule away, and let none come after it. The helper is started again where it has ended. Idempotent."""
    if not runtime.state(helper).running:
        runtime.start(helper)
    _run(runtime, helper, _CLOSE, labels[f"siplab.{FORWARDING}"])


def _run(runtime: Runtime, helper: str, script: str, bridges: str) -> str:
    result = runtime.exec(helper, ("sh", "-ec", script, FORWARDING, bridges), timeout=30)
    if result.exit_code:
        said = " ".join((result.stderr or result.stdout).decode(errors="replace").split())[-200:]
        raise RuntimeFault(f"the host's firewall cannot be changed: {said or result.exit_code}", remedy="run `siplab doctor`")
    return result.stdout.decode(errors="replace")
