"""Shapes to latents and back: the codec, files through it, and the report."""
