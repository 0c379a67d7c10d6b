"""Measure how well an autoencoder reconstructs shapes: scores, the card that reports them, and comparisons of cards."""
