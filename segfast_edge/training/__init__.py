"""Training: recipes, batches, losses, the loop, and a state from which it continues bit for bit."""
