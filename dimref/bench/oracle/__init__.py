"""The twins in PyTorch, and the proof that their steps are dimref's."""
