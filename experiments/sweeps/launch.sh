#!/usr/bin/env bash
# Starts one run of a sweep: in a SLURM job by srun, one process per task of the job; elsewhere directly.
exec ${SLURM_JOB_ID:+srun --kill-on-bad-exit=1} "$@"
