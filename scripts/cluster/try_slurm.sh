#!/usr/bin/env bash
# Tries scripts/cluster out on this machine, as root on Debian or Ubuntu: installs Slurm, munge and Open MPI
# where they are missing, starts a Slurm of its own on 127.0.0.1, runs a small plan in every way that README.md
# names, interrupts, requeues and cancels elements, and compares all run files with a plain run's, bit for bit.
# Usage: scripts/cluster/try_slurm.sh
# Ends with the Slurm stopped and its folder removed; after a failure the folder stays (logs, results).
# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../common.sh"
# shellcheck source=small_plan.sh
source "$root/scripts/small_plan.sh"

if [[ ${1:-} == --help || ${1:-} == -h ]]; then usage; fi
((EUID == 0)) || fail "needs root: it starts Slurm's daemons"
need_programs
packages=()
has slurmctld && has slurmd && has sbatch || packages+=(slurm-wlm)
has munged || packages+=(munge)
has mpirun || packages+=(openmpi-bin)
if ((${#packages[@]})); then
  say "Installing packages: ${packages[*]}"
  DEBIAN_FRONTEND=noninteractive apt-get -qq update >&2
  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${packages[@]}" >&2
fi

folder=$(mktemp -d "${TMPDIR:-/tmp}/attnlab-slurm-XXXXXX")
chmod 755 "$folder"
host=$(hostname -s)
cpus=4 # more than there may be, so that elements wait for each other only where they have to
export SLURM_CONF=$folder/slurm.conf
port=$((20000 + RANDOM % 20000))
daemons=()

stop_all() {
  local code=$? pid
  # A second signal to this script must not leave a daemon behind.
  trap '' INT TERM
  scancel --user=root 2> /dev/null || true
  for ((pid = 0; pid < 50; ++pid)); do
    [[ -n $(squeue --noheader 2> /dev/null) ]] || break
    sleep 0.2
  done
  for pid in "${daemons[@]}"; do kill "$pid" 2> /dev/null || true; done
  wait
  if ((code == 0)); then rm -rf "$folder"; else say "kept: $folder"; fi
}
trap stop_all EXIT
trap 'exit 130' INT TERM

start_slurm() {
  mkdir -p "$folder"/{munge,state,spool}
  chmod 700 "$folder/munge"
  head -c 1024 /dev/urandom > "$folder/munge/key"
  chmod 600 "$folder/munge/key"
  cat > "$SLURM_CONF" << CONF
ClusterName=try
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket,cred_expire=5
CredType=cred/munge
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2,batch_sched_delay=1
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
  munged --foreground --force --key-file="$folder/munge/key" --socket="$folder/munge/socket" \
    --pid-file="$folder/munge/pid" --log-file="$folder/munge/log" --seed-file="$folder/munge/seed" \
    > "$folder/munge/out" 2>&1 &
  daemons=("$!" "${daemons[@]}")
  wait_until 10 "munged's socket" test -S "$folder/munge/socket"
  slurmctld -D -c > "$folder/slurmctld.out" 2>&1 &
  daemons=("$!" "${daemons[@]}")
  slurmd -D -N "$host" > "$folder/slurmd.out" 2>&1 &
  daemons=("$!" "${daemons[@]}")
  wait_until 30 "an idle node" node_is_idle
}

node_is_idle() { [[ $(sinfo --noheader --format %T 2> /dev/null) == idle ]]; }
# wait_until SECONDS WHAT COMMAND...
wait_until() {
  local limit=$1 what=$2 i
  shift 2
  for ((i = 0; i < limit * 10; ++i)); do
    if "$@"; then return; fi
    sleep 0.1
  done
  fail "waited $limit s for $what"
}
queue_is_empty() { [[ -z $(squeue --noheader 2> /dev/null) ]]; }

# submit FOLDER [SBATCH OPTIONS]... : prints the array's id. The plan's results go to FOLDER.
submit() {
  local out=$1
  shift
  sbatch --parsable --chdir="$root" --output="$folder/%A_%a.log" --cpus-per-task=1 "$@" \
    "$root/scripts/cluster/slurm_array.sbatch" --config "$plan" --out "$folder/$out"
}
log_says() { grep -q "$2" "$folder/$1.log" 2> /dev/null; }
field() { scontrol show job "$1" -o | grep -o "$2=[^ ]*" | cut -d= -f2; }
restarted() { [[ $(field "$1" Restarts) -ge 1 ]]; }

checks=0
# check FOLDER WHAT [EXPECTED FOLDER]
check() {
  compare "$folder/${3:-plain}" "$folder/$1" > "$folder/comparison" || fail "$1: $(< "$folder/comparison")"
  checks=$((checks + 1))
  echo "$2: $(< "$folder/comparison")"
}

plan=$folder/exp.yaml
write_small_plan "$plan" 400
# No state but after a signal: what a requeued element starts from was saved by the signal.
sed -i 's/checkpoint_every: 1/checkpoint_every: 100000/; s/every: 10,/every: 200,/' "$plan"
begin=$SECONDS
"$programs/run_ablation" --config "$plan" --threads 1 --out "$folder/plain" > "$folder/plain.log" 2>&1 ||
  fail "the plain run failed: $(tail -1 "$folder/plain.log")"
echo "plain run: $((SECONDS - begin)) s"
start_slurm
cd "$root"
echo "$(slurmctld -V), $cpus CPUs, $(mpirun --version | head -1)"

id=$(submit array --array=1-3)
wait_until 300 "the array" queue_is_empty
check array "sbatch --array=1-3"

id=$(submit signalled --array=1-2)
wait_until 60 "the first element to train" log_says "${id}_1" "step 1/400"
scancel --signal=TERM "${id}_1"
wait_until 60 "the first element to be requeued" restarted "${id}_1"
log_says "${id}_1" "interrupted; the same command goes on" || fail "the signalled element did not save"
[[ -n $(find "$folder/signalled" -name '*.state*') ]] || fail "the signalled element left no state"
wait_until 300 "the requeued element" queue_is_empty
check signalled "SIGTERM mid-run, saved and requeued by the script"

id=$(submit requeued --array=1-2)
wait_until 60 "the second element to train" log_says "${id}_2" "step 1/400"
scontrol requeue "${id}_2"
wait_until 60 "the second element to save" log_says "${id}_2" "interrupted; the same command goes on"
wait_until 300 "the requeued element" queue_is_empty
check requeued "requeued mid-run by Slurm, as for a preemption"

id=$(submit cancelled --array=1-2)
wait_until 60 "the first element to train" log_says "${id}_1" "step 1/400"
scancel "${id}_1"
wait_until 300 "the cancelled element and the other" queue_is_empty
log_says "${id}_1" "interrupted; the same command goes on" || fail "the cancelled element did not save"
[[ $(field "${id}_1" JobState) == CANCELLED ]] || fail "the cancelled element is $(field "${id}_1" JobState)"
if compare "$folder/plain" "$folder/cancelled" > /dev/null; then fail "the cancelled element was complete"; fi
id=$(ATTNLAB_ARRAY_SIZE=2 submit cancelled --array=1)
wait_until 300 "the element that was started again" queue_is_empty
check cancelled "cancelled mid-run, that element started again"

id=$(submit twice --array=1-2)
ATTNLAB_ARRAY_SIZE=2 submit twice --array=1-2 > /dev/null
wait_until 300 "two arrays of one plan" queue_is_empty
check twice "the same array twice at once"

srun --quiet --ntasks=2 --cpus-per-task=1 scripts/cluster/run_shard.sh --config "$plan" --out "$folder/srun" \
  > "$folder/srun.log" 2>&1 || fail "srun: $(tail -1 "$folder/srun.log")"
check srun "srun -n 2"
ATTNLAB_LOCK_SECONDS=3 srun --quiet --ntasks=2 scripts/cluster/check_locks.sh "$folder"

mpirun --allow-run-as-root --oversubscribe -n 3 --bind-to none --mca orte_abort_on_non_zero_status 0 \
  --mca odls_base_sigkill_timeout 60 scripts/cluster/run_shard.sh --config "$plan" --threads 1 \
  --out "$folder/mpirun" > "$folder/mpirun.log" 2>&1 || fail "mpirun: $(tail -1 "$folder/mpirun.log")"
check mpirun "mpirun -n 3"
# Ranks that make each run together: the bits of as many that --ranks starts.
together=(--config "$plan" --threads 1)
"$programs/run_ablation" "${together[@]}" --ranks 2 --out "$folder/ranks" > "$folder/ranks.log" 2>&1 ||
  fail "--ranks 2: $(tail -1 "$folder/ranks.log")"
srun --quiet --ntasks=2 --cpus-per-task=1 "$programs/run_ablation" "${together[@]}" --out "$folder/srun_ranks" \
  > "$folder/srun_ranks.log" 2>&1 || fail "ranks of srun: $(tail -1 "$folder/srun_ranks.log")"
check srun_ranks "srun -n 2, two ranks of each run" ranks
mpirun --allow-run-as-root --oversubscribe -n 2 --bind-to none "$programs/run_ablation" "${together[@]}" \
  --out "$folder/mpirun_ranks" > "$folder/mpirun_ranks.log" 2>&1 ||
  fail "ranks of mpirun: $(tail -1 "$folder/mpirun_ranks.log")"
check mpirun_ranks "mpirun -n 2, two ranks of each run" ranks
echo "try_slurm: $checks ways, all run files equal to the plain run's (ranks' to those of --ranks); $((SECONDS - begin)) s"
