"""Encode shapes to latents and decode them again: the codec, its use on files, and the report."""
