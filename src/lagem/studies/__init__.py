"""What the levels of an autoencoder carry and those of a cascade control: a picture and the numbers behind it."""
