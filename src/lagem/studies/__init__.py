"""Study what the levels of an autoencoder carry and what the levels of a cascade control, in pictures and numbers."""
