#!/usr/bin/env bash
# Runs one part of a plan: which one follows from the rank that Slurm or MPI gave this process.
# Usage: srun -n 8 scripts/cluster/run_shard.sh --config EXP.yaml [RUN_ABLATION ARGUMENTS]
#        mpirun -n 8 scripts/cluster/run_shard.sh --config EXP.yaml [RUN_ABLATION ARGUMENTS]
# In a Slurm array the tasks of all its elements are counted. Started by neither, it runs the whole plan.
# Several GPUs of a machine are dealt to its ranks, N to each with --ranks N. Without --threads a process gets the
# cores that Slurm gave its task, or its part of the machine's. ATTNLAB_BIN names another folder of programs than build/bin.
# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../common.sh"

if [[ ${1:-} == --help || ${1:-} == -h ]]; then usage; fi

# Ranks of mpirun come first: inside a Slurm job, its processes see Slurm's variables of another step.
if [[ -n ${OMPI_COMM_WORLD_RANK:-} ]]; then # Open MPI
  rank=$OMPI_COMM_WORLD_RANK ranks=$OMPI_COMM_WORLD_SIZE
  local_rank=${OMPI_COMM_WORLD_LOCAL_RANK:-0} local_ranks=${OMPI_COMM_WORLD_LOCAL_SIZE:-1}
elif [[ -n ${SLURM_STEP_NUM_TASKS:-} ]]; then # srun; a batch script itself has no step
  rank=$SLURM_PROCID ranks=$SLURM_STEP_NUM_TASKS
  local_rank=${SLURM_LOCALID:-0} local_ranks=1 # Slurm binds the task to its cores
elif [[ -n ${PMI_RANK:-} ]]; then # MPICH, Intel MPI
  rank=$PMI_RANK ranks=$PMI_SIZE
  local_rank=${MPI_LOCALRANKID:-0} local_ranks=${MPI_LOCALNRANKS:-1}
else
  rank=0 ranks=1 local_rank=0 local_ranks=1
fi

if [[ -n ${SLURM_ARRAY_TASK_ID:-} ]]; then
  # ATTNLAB_ARRAY_SIZE: of the array that a plan was divided for, where only some of its elements are started.
  elements=${ATTNLAB_ARRAY_SIZE:-$SLURM_ARRAY_TASK_MAX}
  ((SLURM_ARRAY_TASK_ID >= 1 && SLURM_ARRAY_TASK_ID <= elements)) ||
    reject "found array element $SLURM_ARRAY_TASK_ID, expected elements from 1 on: --array=1-N"
  rank=$(((SLURM_ARRAY_TASK_ID - 1) * ranks + rank)) ranks=$((elements * ranks))
fi

# --ranks N: each of these processes starts N, which make each run together on N GPUs of its machine.
group=1
for ((i = 1; i < $#; ++i)); do
  next=$((i + 1))
  if [[ ${!i} == --ranks ]]; then group=${!next}; fi
done
[[ " $* " =~ \ --ranks=([0-9]+)\  ]] && group=${BASH_REMATCH[1]}
((group > 0)) || reject "found --ranks 0, expected a number: the ranks that started this script are shards"

pick_gpus() {
  local visible=${CUDA_VISIBLE_DEVICES-unset} gpus
  if [[ $visible == unset ]] && has nvidia-smi; then
    visible=$(nvidia-smi --query-gpu=index --format=csv,noheader | paste -sd,)
  fi
  IFS=, read -r -a gpus <<< "$visible"
  ((${#gpus[@]} > 1)) || return 0
  local sets=$((${#gpus[@]} / group))
  ((sets > 0)) || reject "found ${#gpus[@]} GPUs, expected at least $group: --ranks $group"
  export CUDA_VISIBLE_DEVICES
  CUDA_VISIBLE_DEVICES=$(IFS=, && echo "${gpus[*]:local_rank % sets * group:group}")
}
pick_gpus

threads=()
if [[ " $* " != *" --threads"[\ =]* ]]; then
  share=${SLURM_CPUS_PER_TASK:-$(($(nproc) / local_ranks))}
  share=$((share / group))
  threads=(--threads "$((share > 0 ? share : 1))")
fi

ranks_option=()
[[ " $* " == *" --ranks"[\ =]* ]] || ranks_option=(--ranks 1)
exec "${ATTNLAB_BIN:-$root/build/bin}/run_ablation" "$@" "${ranks_option[@]}" "${threads[@]}" --shard "$((rank + 1))/$ranks"
