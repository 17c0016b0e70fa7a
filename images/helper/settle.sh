# In an element's network namespace, with NET_ADMIN: settle.sh [DESTINATION via GATEWAY]… [IPV6ADDRESS]…
# Puts routes; and takes all IPv4 off the interface that has the IPv6 address. Interfaces are found by address: their names differ between
# engines.
set -e
while [ $# -gt 0 ]; do
  case "$2" in
  via)
    case "$3" in *:*) family=-6 ;; *) family=-4 ;; esac
    ip $family route replace "$1" via "$3"
    shift 3 ;;
  *)
    device=$(ip -6 -o address show to "$1" | while read -r _ name _; do echo "$name"; break; done)
    ip -4 address flush dev "$device"
    [ -z "$(ip -4 -o address show dev "$device")" ]
    shift ;;
  esac
done
