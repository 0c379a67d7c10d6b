"""Shapes from files, through the autoencoder, and back to files."""
