"""Shapes as they come: which files are meant, a file in the unit sphere, surfaces to draw from, augmentation."""
