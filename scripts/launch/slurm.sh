#!/usr/bin/env bash
# Train on the nodes that Slurm gives, one process a GPU:
#
#   sbatch scripts/launch/slurm.sh --model base --dataset ntu60 --amp --batch_size 256 --set reference_batch_size=16
#
# The arguments are those of scripts/train.py. Submit it from the checkout. LAST_PYTHON names another Python than that
# of .venv, LAST_PROCESSES another number of processes a node than its GPUs. Not yet run on a cluster.
#SBATCH --job-name=last
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=16
#SBATCH --time=12:00:00
#SBATCH --signal=TERM@120
#SBATCH --output=slurm-%j.txt
set -euo pipefail

first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 10000))  # another one for each job, so that jobs that share a node do not meet
python=${LAST_PYTHON:-.venv/bin/python}

# --signal sends SIGTERM two minutes before the end: the run saves its state, and the next job goes on with it. Node 0
# of Slurm is rank 0 of the training, so that files are always written by the same node of a job.
srun --kill-on-bad-exit=1 bash -c '
    exec "$0" -m torch.distributed.run --nnodes="$SLURM_NNODES" --node_rank="$SLURM_NODEID" --nproc_per_node="$3" \
        --master_addr="$1" --master_port="$2" scripts/train.py "${@:4}"
' "$python" "$first" "$port" "${LAST_PROCESSES:-gpu}" --resume auto "$@"
