"""A pairing, run once: up → hand over → collect → down."""
