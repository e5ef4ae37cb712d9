"""Runs: submit, follow, cancel, and the record of them that outlives every cluster."""
