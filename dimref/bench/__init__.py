"""How fast one training step is: beside PyTorch's, beside its own bare matrix products, and against size."""
