"""The lab's DNS: an authoritative server that answers right until it is told not to.

zones.py   what is true: zone files to answers (RFC 1034 §4.3.2, without delegation)
faults.py  what is told instead, for which questions
server.py  UDP and TCP, IPv4 and IPv6; parsing, truncation, the log of queries
control.py JSON lines on stdin and stdout, framed as the agent contract is
"""

VERSION = "1"
