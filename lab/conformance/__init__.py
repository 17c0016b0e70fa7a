"""Is it what it says it is? The agent contract as data, and the check of a vendor against it."""
