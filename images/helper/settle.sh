# In an element's network namespace, with NET_ADMIN: settle.sh [DESTINATION via GATEWAY]… [IPV6ADDRESS]…
# Puts routes; and takes all IPv4 off the interface that has the IPv6 address. Interfaces are found by address: their names differ between
# engines.
set -eu
fail() { echo "settle.sh: $1" >&2; exit 1; }
while [ $# -gt 0 ]; do
  case "${2:-}" in
  via)
    case "$3" in *:*) family=-6 ;; *) family=-4 ;; esac
    ip $family route replace "$1" via "$3"
    shift 3 ;;
  *)
    device=$(ip -6 -o address show to "$1" | while read -r _ name _; do echo "$name"; break; done)
    [ -n "$device" ] || fail "no interface has $1"
    ip -4 address flush dev "$device"
    left=$(ip -4 -o address show dev "$device")
    [ -z "$left" ] || fail "$device keeps its IPv4 address: $left"
    shift ;;
  esac
done
