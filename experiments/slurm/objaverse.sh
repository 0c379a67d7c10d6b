#!/usr/bin/env bash
#SBATCH --job-name=objaverse
#SBATCH --partition=gpu
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=4
#SBATCH --gres=gpu:4
#SBATCH --cpus-per-task=10
#SBATCH --mem=0
#SBATCH --time=1440
#SBATCH --requeue
#SBATCH --signal=USR1@300
#SBATCH --open-mode=append
#SBATCH --output=runs/objaverse/slurm-%j.out

# Written by `lagem submit`. SLURM makes no folder for the log: mkdir -p runs/objaverse
set -e
source .venv/bin/activate

srun --kill-on-bad-exit=1 --cpus-per-task=10 python -P -m lagem fit \
    --config experiments/autoencoder/objaverse.yaml \
    --trainer.num_nodes=4 \
    --trainer.devices=4 \
    --trainer.default_root_dir=runs/objaverse \
    --ckpt_path=last
touch runs/objaverse/finished
