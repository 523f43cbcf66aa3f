#!/usr/bin/env bash
# The noise certificate of a model: evaluations that differ in one factor each, then the table. What is done is not
# done again. Minutes on 2 cores for data/base_small, on a GPU for a real model.
# Usage: experiments/noise/run.sh [options]
#   --model DIR           the model's folder (default: data/base_small)
#   --task NAME           what is asked (default: word_problems)
#   --data DIR            the folder that scripts/fetch_data.sh filled, for tasks that need it
#   --device cpu|cuda     where (default: cpu)
#   --dtype TYPE          of all factors but dtype and device (default: float32, on a GPU bfloat16)
#   --factors A,B,…       of batch, dtype, sampling, prompt, data_order, data_draw, device (default: the first four;
#                         of generated tasks on a CPU data_order and data_draw, too; on a GPU device, too)
#   --problems N          problems of each level (default: 100); --device-problems N: of device (default: 16)
#   --max-new-tokens N    longest reply (default: 96)
#   --shots N             worked examples (default: 0 for generated tasks, else the protocol's own)
#   --protocol NAME       how replies are scored (default: the task's own)
#   --jobs N              evaluations at a time (default: 1); --threads N: of each on the CPU (default: 1)
#   --out DIR             (default: results/noise)
source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/common.sh"

model=data/base_small task=word_problems data='' device=cpu dtype='' factors='' problems=100 device_problems=16
longest=96 shots='' protocol='' files='' jobs=1 threads=1 out=results/noise
while (($#)); do
  case $1 in
    --help | -h) usage ;;
    --model) model=${2-} ;;
    --task) task=${2-} ;;
    --data) data=${2-} ;;
    --device) device=${2-} ;;
    --dtype) dtype=${2-} ;;
    --factors) factors=${2-} ;;
    --problems) problems=${2-} ;;
    --device-problems) device_problems=${2-} ;;
    --max-new-tokens) longest=${2-} ;;
    --shots) shots=${2-} ;;
    --protocol) protocol=${2-} ;;
    --jobs) jobs=${2-} ;;
    --threads) threads=${2-} ;;
    --out) out=${2-} ;;
    *) reject "unknown argument '$1'" ;;
  esac
  (($# >= 2)) || reject "$1 needs a value"
  shift 2
done
for number in "$problems" "$device_problems" "$longest" "$jobs" "$threads"; do
  [[ $number =~ ^[1-9][0-9]*$ ]] || reject "'$number': expected a number of 1 or more"
done
all=batch,dtype,sampling,prompt
case $device:$task in
  cpu:word_problems | cpu:code_functions) all+=,data_order,data_draw ;;
  cuda*) all+=,device ;;
  cpu:*) ;;
  *) reject "--device $device: expected cpu or cuda" ;;
esac
: "${factors:=$all}"
[[ -n $dtype ]] || if [[ $device == cpu ]]; then dtype=float32; else dtype=bfloat16; fi
scored=() training=()
[[ -z $protocol ]] || scored=(--protocol "$protocol")
case $task in
  word_problems | code_functions) : "${shots:=0}" && training=(--set data.kind="$task") ;;
  gsm8k)
    [[ $factors != *data_draw* ]] || reject "--factors data_draw: $task is read from a file"
    files="path: $data/gsm8k/test.jsonl, shots_path: $data/gsm8k/train.jsonl"
    training=(--set "data={kind: gsm8k, path: $data/gsm8k/train.jsonl, heldout_path: $data/gsm8k/test.jsonl}")
    ;;
  *) [[ $factors != *data_* ]] || reject "--factors data_order, data_draw: no training text is known for $task" ;;
esac
[[ -z $shots ]] || scored+=(--shots "$shots")
cd "$root"
mkdir -p "$out"

# start COMMAND…: beside at most jobs - 1 others. finish: waits for all.
running=0
next_ends() {
  wait -n || fail "an evaluation failed; its words stand above"
  running=$((running - 1))
}
start() {
  if ((running >= jobs)); then next_ends; fi
  "$@" &
  running=$((running + 1))
}
finish() { while ((running > 0)); do next_ends; done; }
trap 'jobs -p | xargs -r kill 2> /dev/null || true' EXIT

# ask FACTOR/LEVEL DEVICE DTYPE PROBLEMS OPTIONS…: greedy unless an option says otherwise, in one batch. The seconds
# that it takes, loading included, go to seconds.csv.
ask() {
  local level=$1 where=$2 type=$3 limit=$4 cores=$threads began=$EPOCHREALTIME
  [[ ! -f $out/$level.h5 ]] || return 0
  [[ $where != cpu || $device == cpu ]] || cores=0
  mkdir -p "$out/$(dirname "$level")"
  build/bin/eval_model --model "$model" --tasks "$task" ${data:+--data "$data"} --device "$where" --dtype "$type" \
    --limit "$limit" --max-new-tokens "$longest" --threads "$cores" --out "$out/$level.h5" "${@:5}" > /dev/null
  awk -v level="$level" -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN {printf "%s,%.1f\n", level, b - a}' \
    >> "$out/seconds.csv"
}

# train FACTOR SETTINGS…: 40 steps of fine-tuning the model's attention, then the same problems.
train() {
  build/bin/run_ablation --config experiments/quickstart/exp.yaml --out "$out/$1" --threads "$threads" \
    --set base.path="$model" --set device="$device" --set 'arms=[{name: gqa, variant: gqa}]' --set 'claims={}' \
    "${training[@]}" --set train.steps=40 --set train.save_model=false --set eval.problems=0 \
    --set eval.heldout_examples=8 --set "eval.tasks=[{task: $task, max_new_tokens: $longest, limit: $problems, \
      size: $problems${shots:+, shots: $shots}${protocol:+, protocols: [$protocol]}${files:+, $files}}]" \
    "${@:2}" > /dev/null
}

# measure FACTOR: its levels.
measure() {
  local batch type where
  case $1 in
    batch)
      for batch in $(((problems + 9) / 10)) $(((problems + 2) / 3)) "$problems"; do
        start ask "batch/$batch" "$device" "$dtype" "$problems" "${scored[@]}" --batch "$batch"
      done
      ;;
    dtype)
      for type in float32 bfloat16; do
        start ask "dtype/$type" "$device" "$type" "$problems" "${scored[@]}" --batch "$problems"
      done
      ;;
    sampling)
      start ask sampling/five "$device" "$dtype" "$problems" "${scored[@]}" --batch "$problems" --samples 5 \
        --temperature 0.7
      ;;
    prompt) start ask prompt/all "$device" "$dtype" "$problems" --batch "$problems" --calibrate 50 ;;
    data_order) start train data_order --set 'seeds=[0, 1, 2]' ;;
    data_draw) start train data_draw --set 'seeds=[0]' --set 'sweep={data.seed: [0, 1, 2]}' ;;
    device)
      [[ $device != cpu ]] || reject "--factors device: needs --device cuda"
      for where in cpu "$device"; do
        start ask "device/$where" "$where" float32 "$device_problems" "${scored[@]}" --batch "$device_problems"
      done
      ;;
    *) reject "--factors $1: expected batch, dtype, sampling, prompt, data_order, data_draw or device" ;;
  esac
}

for factor in ${factors//,/ }; do measure "$factor"; done
finish
build/bin/noise_certificate "$out" --markdown
