"""How the same numbers are computed fast."""
