"""The same step on many ranks, with the same numbers: see README.md."""
