"""A run of `lagem fit`: its command line, run folder, checkpoints and record, and how it ends."""
