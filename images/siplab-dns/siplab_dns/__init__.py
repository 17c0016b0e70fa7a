"""The lab's DNS: an authoritative server that answers right until it is told not to.

zones.py   what is true: zone files to answers (RFC 1034 §4.3.2, without delegation)
faults.py  which questions get another answer, and how often
lies.py    what that answer is, in bytes
server.py  UDP and TCP, IPv4 and IPv6; parsing, the cache of answers, the log of queries
control.py JSON lines on stdin and stdout, framed as the agent contract is
"""

VERSION = "1"
