"""What may be audited, and how it is known to go wrong: one file a family, each with its CONTRACTS."""
