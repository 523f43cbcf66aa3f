#!/usr/bin/env bash
# Do the locks of a file system hold between machines? One process locks a file in DIR for some seconds, the
# others try to take it meanwhile. Needs a rank from Slurm or MPI, as run_shard.sh:
# Usage: srun -N 2 -n 2 --ntasks-per-node=1 scripts/cluster/check_locks.sh DIR
# Exit code 0: they hold (or all ran on one machine, which it says); 1: they do not.
# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../common.sh"

if [[ ${1:-} == --help || ${1:-} == -h ]]; then usage; fi
(($# == 1)) || reject "expected a folder"
[[ -d $1 ]] || reject "no folder $1"
rank=${OMPI_COMM_WORLD_RANK:-${SLURM_PROCID:-${PMI_RANK:-}}}
[[ -n $rank ]] || reject "no rank: start it with srun or mpirun"
file=$1/.attnlab_lock_check

if ((rank == 0)); then
  exec 9> "$file"
  flock --nonblock 9 || fail "$file is locked already, or this file system does not lock files"
  hostname > "$file.held"
  sleep "${ATTNLAB_LOCK_SECONDS:-10}"
  rm -f "$file" "$file.held"
  exit 0
fi

for ((i = 0; i < 100; ++i)); do
  [[ ! -s $file.held ]] || break
  sleep 0.1
done
[[ -s $file.held ]] || fail "rank 0 did not lock $file within 10 s"
holder=$(cat "$file.held")
exec 9>> "$file"
if flock --nonblock 9; then
  fail "$(hostname) got the lock that $holder holds: locks of $1 do not reach other machines"
fi
if [[ $holder == "$(hostname)" ]]; then
  echo "locks of $1 hold on $holder; start it on two machines to see whether they reach further"
else
  echo "locks of $1 hold between $holder and $(hostname)"
fi
