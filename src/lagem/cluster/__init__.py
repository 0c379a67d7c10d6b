"""Jobs for SLURM: profile, job, array, chain, submission."""
