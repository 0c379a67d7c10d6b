"""Input shapes: find the files, load them into the unit sphere, draw points on their surfaces, augment samples."""
