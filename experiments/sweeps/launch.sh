#!/usr/bin/env bash
# Starts one run of a sweep: in a SLURM job by srun, as many processes as the job has tasks; elsewhere as it is.
exec ${SLURM_JOB_ID:+srun --kill-on-bad-exit=1} "$@"
