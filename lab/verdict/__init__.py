"""Pure verdicts: status, reason, blame, expectation."""
