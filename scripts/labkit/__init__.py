"""What scripts/lab and scripts/test are made of; only Python's standard library."""
