"""Runs on a SLURM cluster: submission, preemption and arrays of tasks."""
