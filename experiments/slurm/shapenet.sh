#!/usr/bin/env bash
#SBATCH --job-name=shapenet
#SBATCH --partition=gpu
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=4
#SBATCH --gres=gpu:4
#SBATCH --cpus-per-task=10
#SBATCH --mem=0
#SBATCH --time=1440
#SBATCH --requeue
#SBATCH --signal=USR1@300
#SBATCH --open-mode=append
#SBATCH --output=runs/shapenet/slurm-%j.out

# Written by `lagem submit`. SLURM makes no folder for the log: mkdir -p runs/shapenet
set -e
source .venv/bin/activate

srun --kill-on-bad-exit=1 --cpus-per-task=10 python -P -m lagem fit \
    --config experiments/autoencoder/shapenet.yaml \
    --trainer.num_nodes=1 \
    --trainer.devices=4 \
    --trainer.default_root_dir=runs/shapenet \
    --ckpt_path=last
touch runs/shapenet/finished
