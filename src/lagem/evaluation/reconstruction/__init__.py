"""How well an autoencoder reconstructs: scores of shapes, the card that reports them, and the comparison of cards."""
