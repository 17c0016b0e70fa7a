"""Container engines behind one narrow protocol."""
