"""A NAT or firewall for the lab: nftables rules that were rendered before the start, applied and looked at."""
