"""The agent of SIPp: see ../README.md."""
