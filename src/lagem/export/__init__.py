"""Export of an autoencoder to formats that other programs run."""
