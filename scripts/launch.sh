#!/usr/bin/env bash
# Starts one process of scripts/train.py per node, on Slurm or on a list of ssh hosts; all join one run.
#
#   sbatch --nodes=2 --gpus-per-node=8 --ntasks-per-node=1 scripts/launch.sh --config=configs/pretrain.py:1b --workdir=W
#   HOSTS=node1,node2 scripts/launch.sh --config=configs/pretrain.py:1b --workdir=W
#   HOSTS=local,local scripts/launch.sh ...        two processes on this machine, to try it
#
# PORT (default 8476) must be reachable on the first node, PYTHON names the interpreter, W lies on a shared disk. Every
# process exits with the code of its own training; SIGTERM to this script reaches all of them.
set -euo pipefail
python=${PYTHON:-.venv/bin/python} port=${PORT:-8476}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "${SLURM_SUBMIT_DIR:-$root}"

if [ -n "${SLURM_JOB_NODELIST:-}" ]; then
  first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
  export AIRA_JAX_COORDINATOR=$first:$port AIRA_JAX_PROCESSES=$SLURM_NNODES
  exec srun --ntasks-per-node=1 bash -c 'AIRA_JAX_PROCESS=$SLURM_PROCID exec "$@"' train "$python" scripts/train.py "$@"
fi

IFS=, read -ra hosts <<< "${HOSTS:?set HOSTS=node1,node2 or submit this script to Slurm}"
local_only=$(printf '%s\n' "${hosts[@]}" | grep -cvx local || true)
first=${hosts[0]}
case $first in
  local | localhost | 127.*)
    [ "$local_only" -eq 0 ] || { echo "error: HOSTS starts with $first, which other hosts cannot reach: name the node" >&2; exit 2; }
    first=127.0.0.1 ;;
esac

pids=()
trap 'kill -TERM "${pids[@]}" 2>/dev/null || true' TERM INT
for process in "${!hosts[@]}"; do
  names=(AIRA_JAX_COORDINATOR="$first:$port" AIRA_JAX_PROCESS="$process" AIRA_JAX_PROCESSES="${#hosts[@]}")
  if [ "${hosts[$process]}" = local ]; then
    env "${names[@]}" "$python" scripts/train.py "$@" &
  else
    ssh -tt "${hosts[$process]}" "cd $(printf %q "$PWD") && env ${names[*]} $(printf '%q ' "$python" scripts/train.py "$@")" &
  fi
  pids+=($!)
done

code=0
for pid in "${pids[@]}"; do
  while :; do
    wait "$pid" && found=0 || found=$?
    kill -0 "$pid" 2>/dev/null || break # else a signal has ended the wait, not the process
  done
  [ "$found" -eq 0 ] || code=$found
done
exit "$code"
