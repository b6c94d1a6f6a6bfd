"""What a run gives to others: its encoder in inference mode, features and weights as files."""
