"""Sippy's B2BUA, with a registrar and a routing table of ours around it."""
