#!/usr/bin/env bash
# Train over a network between two hosts that share nothing: no files, no loopback.
#
#   sudo benchmarks/reliability/two_hosts.sh [PYTHON]        (default: .venv/bin/python)
#
# The hosts are two network namespaces of this machine with a cable (a veth pair) between them; each has its own copy
# of the data and its own output folder. Shown are: that the run ends as one with two processes on one host does, to
# the bit; that only the first host writes; what happens when the cable is pulled and when a host dies; that the run
# then goes on; what a step sends and takes. Needs root and Linux; leaves nothing behind.
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
python=$(realpath --no-symlinks "${1:-$repository/.venv/bin/python}")
[[ $EUID -eq 0 ]] || { echo "error: network namespaces need root: run it with sudo" >&2; exit 2; }
export OMP_NUM_THREADS=1 GLOO_SOCKET_IFNAME=cable
work=$(mktemp -d)
hosts=(last-host-a last-host-b)
addresses=(10.77.0.1 10.77.0.2)

clean_up() {
    for host in "${hosts[@]}"; do
        ip netns pids "$host" 2>/dev/null | xargs --no-run-if-empty kill -KILL || true
        ip netns del "$host" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap clean_up EXIT

lay_cable() {
    ip link add name cable-a type veth peer name cable-b
    for index in 0 1; do
        local host=${hosts[index]} end=cable-$([[ $index -eq 0 ]] && echo a || echo b)
        ip netns add "$host"
        ip link set "$end" netns "$host"
        ip -n "$host" link set "$end" name cable
        ip -n "$host" address add "${addresses[index]}/24" dev cable
        ip -n "$host" link set lo up
        ip -n "$host" link set cable up
    done
}

prepare_data() {
    "$python" "$repository/scripts/synthesize.py" --out "$work/raw" --clips 120 --quiet >"$work/prepare.txt" 2>&1
    for folder in a/data b/data one/data; do  # each host prepares its own copy
        "$python" "$repository/scripts/preprocess.py" --dataset synthetic --raw "$work/raw" \
            --data_root "$work/$folder" --quiet >>"$work/prepare.txt" 2>&1
    done
}

options=(--model nano_e --dataset synthetic --device cpu --quiet --set input_frames=32 --set tensorboard=false)

start_host() {  # INDEX RUNS ARGUMENTS...: start a host's part of a training in the background; `pid` is its process
    local index=$1 runs=$2 name=a
    shift 2
    [[ $index -eq 0 ]] || name=b
    ip netns exec "${hosts[index]}" "$python" -m torch.distributed.run --nnodes 2 --nproc_per_node 1 \
        --node_rank "$index" --rdzv_backend c10d --rdzv_endpoint "${addresses[0]}:29500" --rdzv_id "$runs" \
        --rdzv_conf "is_host=$((1 - index))" --local_addr "${addresses[index]}" \
        "$repository/scripts/train.py" "${options[@]}" --data_root "$work/$name/data" \
        --output_root "$work/$name/$runs" "$@" >"$work/$runs-$name.txt" 2>&1 &
    pid=$!
}

train_on_two() {  # RUNS ARGUMENTS...: train on both hosts and wait for the end
    start_host 0 "$@"; local first=$pid
    start_host 1 "$@"
    wait "$first" "$pid" || { cat "$work/$1-a.txt" "$work/$1-b.txt" >&2; exit 1; }
}

train_on_one() {  # PROCESSES RUNS ARGUMENTS...: train on this machine
    local processes=$1 runs=$2
    shift 2
    GLOO_SOCKET_IFNAME=lo "$python" -m torch.distributed.run --standalone --nproc_per_node "$processes" \
        "$repository/scripts/train.py" "${options[@]}" --data_root "$work/one/data" --output_root "$work/one/$runs" \
        "$@" >"$work/$runs.txt" 2>&1 || { cat "$work/$runs.txt" >&2; exit 1; }
}

compare() {  # RUNS RUNS: say whether two runs ended with the same weights and momenta, bit for bit
    "$python" - "$work"/"$1"/run-*/checkpoints/last.pth "$work"/"$2"/run-*/checkpoints/last.pth <<'PYTHON'
import sys
from pathlib import Path

import torch

from last.runs.checkpoint import read_checkpoint

first, second = (read_checkpoint(Path(path)) for path in sys.argv[1:])
momenta = [[each["momentum_buffer"] for each in one.optimizer["state"].values()] for one in (first, second)]
pairs = [*((first.model[name], second.model[name]) for name in first.model), *zip(*momenta, strict=True)]
different = sum(not torch.equal(*pair) for pair in pairs)
print(f"  epochs {first.epoch + 1} and {second.epoch + 1}; {different} of {len(pairs)} tensors differ")
sys.exit(different > 0 or first.epoch != second.epoch)
PYTHON
}

speed() {  # RUNS: the median of clips a second over the epochs
    "$python" -c 'import json, sys; print(round(json.load(open(sys.argv[1]))["clips_per_second"], 1))' \
        "$work"/"$1"/run-*/summary.json
}

sent() { ip netns exec "${hosts[0]}" cat /sys/class/net/cable/statistics/tx_bytes; }

until_file() {  # RUNS: wait for the first checkpoint
    for _ in $(seq 600); do
        compgen -G "$work/a/$1/run-*/checkpoints/last.pth" >/dev/null && return
        sleep 0.1
    done
    cat "$work/$1"-*.txt >&2
    exit 1
}

lose() {  # RUNS WHAT: do WHAT in the middle of a training and print the hosts' output and exit codes
    local runs=$1 what=$2 pids=() index name code began
    for index in 0 1; do
        start_host "$index" "$runs" --epochs 6 --set distributed.timeout_minutes=0.25
        pids+=("$pid")
    done
    until_file "$runs"
    began=$SECONDS
    $what
    for name in a b; do
        [[ $what == kill_host && $name == b ]] && continue
        until grep --quiet "$gone" "$work/$runs-$name.txt"; do
            ((SECONDS - began < 120)) || { echo "  host $name printed nothing in 120 s"; break; }
            sleep 0.2
        done
        echo "  host $name after $((SECONDS - began)) s: $(grep --only-matching "$gone" "$work/$runs-$name.txt")"
    done
    plug_cable  # torchrun of the second host would wait for the first host's for many minutes more
    for pid in "${pids[@]}"; do
        code=0
        wait "$pid" 2>/dev/null || code=$?
        echo "  torchrun ended with $code"
    done
}

gone="Another process of this training has ended[^;]*"
pull_cable() { ip -n "${hosts[1]}" link set cable down; }
plug_cable() { ip -n "${hosts[1]}" link set cable up; }
kill_host() { ip netns pids "${hosts[1]}" | xargs kill -KILL; }

lay_cable
prepare_data

echo "Two hosts against one host with two processes:"
train_on_one 2 whole --epochs 6
before=$(sent)
train_on_two whole --epochs 6
echo "  the first host sent $(((($(sent) - before)) / 36)) bytes a step"  # 96 clips in batches of 16, 6 epochs
compare one/whole a/whole
echo "  files of the second host: $(find "$work/b/whole" -type f 2>/dev/null | wc -l)"

echo "Cable pulled in the middle:"
lose pulled pull_cable
train_on_two pulled --epochs 6 --resume auto
compare one/whole a/pulled

echo "Second host killed in the middle:"
lose killed kill_host
train_on_two killed --epochs 6 --resume auto
compare one/whole a/killed

echo "Clips a second, one thread a process:"
train_on_one 1 alone --epochs 6
echo "  one process                  $(speed one/alone)"
echo "  two processes, one host      $(speed one/whole)"
echo "  two processes, two hosts     $(speed a/whole)"
