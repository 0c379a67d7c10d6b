"""What the levels of an autoencoder carry and the levels of a cascade control, in pictures and numbers."""
