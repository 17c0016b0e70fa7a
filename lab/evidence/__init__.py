"""Proof: the capture, its dissection, SIP messages, media and audio, and what can be asserted of them.

Fails closed: what is empty, missing or unreadable raises `EvidenceError`, and is never a pass.
"""
