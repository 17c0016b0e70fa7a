"""The zone that the tests of the lab's DNS ask about."""

APEX = """$ORIGIN atlanta.example.
$TTL 5
@ IN SOA ns.siplab.example. h.siplab.example. 1 60 60 600 3
@ IN NS ns.siplab.example.
"""
ATLANTA = f"""{APEX}@ IN NAPTR 10 50 "s" "SIPS+D2T" "" _sips._tcp
_sips._tcp IN SRV 10 0 5061 pa
pa IN A 198.18.96.11
pa IN AAAA 2001:db8:60::11
"""
