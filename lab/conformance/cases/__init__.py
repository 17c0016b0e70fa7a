"""What `siplab vendor check` runs: scenarios in which alice is the vendor under test. pytest collects them, the lab's plugin runs them."""
