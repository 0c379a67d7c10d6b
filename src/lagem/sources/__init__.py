"""Input shapes: finding their files, loading them into the unit sphere, drawing surface points, and augmentation."""
