#!/usr/bin/env bash
# Everything to be measured on a GPU, in under 8 minutes: the tests marked gpu, the training step of Table 3, queries,
# surfaces and furthest points. Never run on CUDA.
#
#   bash benchmarks/gpu_minutes.sh [FOLDER]               # on a machine with CUDA
#   bash benchmarks/gpu_minutes.sh --rehearse [FOLDER]    # the same commands on the CPU, at sizes that take seconds
#
# FOLDER (default: runs/gpu_minutes) gets a log of each command, the JSON of each benchmark, machine.txt, and a line for
# each command in summary.txt: its exit code and seconds. A command that fails or outlasts its limit stops no other.
# PYTHON names the interpreter (default: .venv/bin/python, else python3).
set -uo pipefail

rehearse=false
if [[ ${1:-} == --rehearse ]]; then
    rehearse=true
    shift
fi
if (($# > 1)) || [[ ${1:-} == -* ]]; then
    echo "usage: bash benchmarks/gpu_minutes.sh [--rehearse] [FOLDER]" >&2
    exit 2
fi
folder=$(realpath -m "${1:-runs/gpu_minutes}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-.venv/bin/python}
command -v "$python" >/dev/null || python=python3
export OMP_NUM_THREADS=1

if ! $rehearse && ! problem=$("$python" -c 'import torch; torch.zeros(1, device="cuda")' 2>&1); then
    echo "This measures a GPU, but torch cannot use one: ${problem##*$'\n'} (--rehearse runs it on the CPU)" >&2
    exit 2
fi
mkdir -p "$folder" || exit 2
: >"$folder/summary.txt"
{
    git rev-parse HEAD
    "$python" -c 'from importlib.metadata import version; print("torch", version("torch"))'
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
} >"$folder/machine.txt" 2>&1

failed=0
# measure NAME LIMIT COMMAND...: run a command for at most LIMIT seconds, with its output in NAME.log.
measure() {
    local name=$1 limit=$2 start=$SECONDS code
    shift 2
    timeout --kill-after=10 "$limit" "$@" >"$folder/$name.log" 2>&1
    code=$?
    ((code == 0)) || failed=1
    echo "$name: exit code $code, $((SECONDS - start)) s of at most $limit" | tee -a "$folder/summary.txt"
}

# benchmark NAME LIMIT FILE OPTIONS...: benchmarks/FILE.py with NAME.json as its output.
benchmark() {
    local name=$1 limit=$2 file=$3
    shift 3
    if $rehearse; then set -- --quick; else set -- --device cuda "$@"; fi
    measure "$name" "$limit" "$python" "benchmarks/$file.py" "$@" --output "$folder/$name.json"
}

tests=tests
if $rehearse; then tests=tests/test_device.py; fi
# The limits add up to 470 s; the sizes of training steps are those of Table 3.
benchmark furthest_points 30 furthest_points
benchmark decoding 60 decoding
benchmark extraction 60 extraction --resolutions 128 256 512 --dense-up-to 256
benchmark table_3_small 90 training_step --settings 512 --batch 64 --precision bfloat16 --rounds 5
benchmark table_3_large 90 training_step --settings large --batch 4 --precision bfloat16 --rounds 5
measure gpu_tests 140 "$python" -m pytest -q -m gpu "$tests"
exit $failed
