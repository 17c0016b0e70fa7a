"""The agent of twinkle-console: see ../README.md."""
