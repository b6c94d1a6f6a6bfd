"""From a configuration to a trained encoder in a run directory."""
