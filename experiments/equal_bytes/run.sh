#!/usr/bin/env bash
# Converts a base to every form of the table, one after the other, and prints the table. What is done is not done again.
# Usage: experiments/equal_bytes/run.sh --model DIR --calibration FILE --out DIR [--heldout FILE] [--tokens N] [--heldout-tokens N] [--group N]
#          [--pruned DIR] [--device D] [--jobs N] [--data DIR [--limit N] [--batch N]] [--decode] [--only NAME]...
#   --model        the base, GQA in Hugging Face's layout
#   --calibration  text or .jsonl, as convert_model takes it; --heldout: what to measure on
#   --group        columns that share a scale (default 64; it must divide the base's widths)
#   --pruned       a model that a run pruned (exp.yaml): a row as it is, and one with matrices of 4 bits
#   --device       cpu (default) or cuda
#   --jobs         conversions and evaluations at a time (default 1)
#   --data         folder that scripts/fetch_data.sh filled: GSM8K for each row (--limit: its first N problems), HumanEval
#                  where there is a sandbox, and one row with its cache at 8 bits, for that one the beginning of WikiText-2
#   --batch        problems that are answered at a time (default 64)
#   --decode       milliseconds of a step at 4,096 and 32,768 tokens, one model after the other
#   --only         this row alone; may be repeated
# Weights are stored in bfloat16.
source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/common.sh"

model='' calibration='' out='' heldout='' pruned='' tokens=8192 heldout_tokens=4096 group=64
device=cpu jobs=1 data='' limit=0 batch=64 decode=false only=()
while (($#)); do
  case $1 in
    --help | -h) usage ;;
    --decode)
      decode=true
      shift
      continue
      ;;
    --model) model=$2 ;;
    --calibration) calibration=$2 ;;
    --heldout) heldout=$2 ;;
    --out) out=$2 ;;
    --tokens) tokens=$2 ;;
    --heldout-tokens) heldout_tokens=$2 ;;
    --group) group=$2 ;;
    --pruned) pruned=$2 ;;
    --device) device=$2 ;;
    --jobs) jobs=$2 ;;
    --data) data=$2 ;;
    --limit) limit=$2 ;;
    --batch) batch=$2 ;;
    --only) only+=("$2") ;;
    *) reject "unknown argument '$1'" ;;
  esac
  (($# >= 2)) || reject "$1 needs a value"
  shift 2
done
[[ -n $model && -n $calibration && -n $out ]] || reject "--model, --calibration and --out are needed"
mkdir -p "$out"

# Settings of mla_deepseek that keep a share of the base's cache: half of it or less turns.
latent() {
  python3 - "$model/config.json" "$1" << 'PYTHON'
import json, sys
c = json.load(open(sys.argv[1]))
heads = c["num_attention_heads"]
head = c.get("head_dim") or c["hidden_size"] // heads
kept = int(2 * c["num_key_value_heads"] * head * float(sys.argv[2]) / 100)
collapse = 1
while head // collapse > kept // 2 and head // collapse > 2:
    collapse *= 2
print(f"kv_lora_rank={kept - head // collapse} collapse={collapse} freqfold={collapse}")
PYTHON
}

bin=$root/build/bin
# What is started behind it runs beside the others, `jobs` at a time.
a_place() {
  while (($(jobs -rp | wc -l) >= jobs)); do wait -n || true; done
}
wanted() {
  local name
  ((${#only[@]})) || return 0
  for name in "${only[@]}"; do [[ $name != "$1" ]] || return 0; done
  return 1
}

# convert NAME FORM SETTINGS [THEN...]; `from` is the model
from=$model
convert() {
  local name=$1 form=$2 settings=() setting
  wanted "$name" || return 0
  for setting in $3; do settings+=(--set "$setting"); done
  local then=()
  for setting in "${@:4}"; do then+=(--then "$setting"); done
  [[ ! -f $out/$name/conversion.json ]] || return 0
  local measure=()
  [[ -z $heldout ]] || measure=(--heldout "$heldout")
  a_place
  echo "$name" >&2
  {
    local began=$SECONDS
    if "$bin/convert_model" --model "$from" --to "$form" "${settings[@]}" "${then[@]}" \
      --calibration "$calibration" "${measure[@]}" --tokens "$tokens" --heldout-tokens "$heldout_tokens" \
      --dtype bfloat16 --device "$device" --out "$out/$name" > "$out/$name.log" 2>&1; then
      echo $((SECONDS - began)) > "$out/$name.seconds"
    else
      tail -n 1 "$out/$name.log" >&2
    fi
  } &
}

packed() { echo "bits=$1 group_size=$group act_order=true sym=false"; }
sliced() { echo "slicegpt sparsity=0.$1 round_interval=$group"; }
for bits in 8 4 3 2; do convert "gptq $bits" gptq "$(packed "$bits")"; done
for bits in 4 3; do convert "rtn $bits" rtn "bits=$bits group_size=$group sym=false"; done
for share in 20 30; do convert "slicegpt $share" slicegpt "sparsity=0.$share"; done
for share in 50 25 12.5; do convert "mla $share" mla_deepseek "$(latent "$share")"; done
for share in 50 25; do convert "mla $share, gptq 4" mla_deepseek "$(latent "$share")" "gptq $(packed 4)"; done
convert "slicegpt 20, gptq 4" slicegpt "sparsity=0.20 round_interval=$group" "gptq $(packed 4)"
convert "mla 50, slicegpt 20" mla_deepseek "$(latent 50)" "$(sliced 20)"
convert "mla 50, slicegpt 20, gptq 4" mla_deepseek "$(latent 50)" "$(sliced 20)" "gptq $(packed 4)"
# An exact form, for what it tells of the model that it is made from.
if [[ -n $pruned ]]; then
  from=$pruned convert "pruned (as it is)" mla_identity ""
  from=$pruned convert "pruned, gptq 4" gptq "$(packed 4)"
fi
wait

# What is asked of a folder: evaluate NAME TASKS FILE [OPTIONS]
folder_of() {
  case $1 in
    base) echo "$model" ;;
    'pruned (as it is)') echo "$pruned" ;;
    *) echo "$out/$1" ;;
  esac
}
evaluate() {
  local name=$1 tasks=$2 file=$3 texts=$data
  [[ ! -f $file ]] || return 0
  [[ $tasks != perplexity ]] || texts=$out/beginning
  a_place
  {
    "$bin/eval_model" --model "$(folder_of "$name")" --tasks "$tasks" --data "$texts" --batch "$batch" \
      --dtype bfloat16 --device "$device" --out "${file%.txt}.h5" "${@:4}" > "$file.part" 2> "$file.log" &&
      mv "$file.part" "$file" || tail -2 "$file.log" >&2
  } &
}
rows() {
  echo base
  find "$out" -mindepth 2 -maxdepth 2 -name conversion.json -printf '%h\n' | sed 's|.*/||' | sort
}
eight=("mla 50, gptq 4") eight_cache=storage=int8
if [[ -n $data ]]; then
  # Through a cache that rounds, text goes token by token: 64 KB of it.
  if [[ -f $data/wikitext2/test.txt ]]; then
    mkdir -p "$out/beginning/wikitext2"
    head -c 65536 "$data/wikitext2/test.txt" | sed '$d' > "$out/beginning/wikitext2/test.txt"
  fi
  while read -r name; do
    evaluate "$name" gsm8k "$out/$name.gsm8k.txt" --limit "$limit"
    ! has bwrap || evaluate "$name" humaneval "$out/$name.humaneval.txt" --max-new-tokens 384
  done < <(rows)
  for name in "${eight[@]}"; do
    [[ -d $out/$name ]] || continue
    evaluate "$name" perplexity "$out/$name.wikitext.txt"
    evaluate "$name" gsm8k "$out/$name.int8.gsm8k.txt" --limit "$limit" --cache "$eight_cache"
    ! has bwrap || evaluate "$name" humaneval "$out/$name.int8.humaneval.txt" --max-new-tokens 384 --cache "$eight_cache"
    evaluate "$name" perplexity "$out/$name.int8.wikitext.txt" --cache "$eight_cache"
  done
  wait
fi
if $decode; then
  time_steps() { # NAME FILE [OPTIONS]
    [[ -f $2 ]] || "$bin/bench_decode" --model "$(folder_of "$1")" --context 4096 --context 32768 --device "$device" \
      "${@:3}" > "$2.part" 2>> "$out/decode.log" && { [[ -f $2 ]] || mv "$2.part" "$2"; } || tail -1 "$out/decode.log" >&2
  }
  while read -r name; do time_steps "$name" "$out/$name.decode.txt"; done < <(rows)
  for name in "${eight[@]}"; do
    [[ ! -d $out/$name ]] || time_steps "$name" "$out/$name.int8.decode.txt" --cache "$eight_cache"
  done
fi
figure=()
! has gnuplot || figure=(--figure "$out/front.png")
"$(dirname "${BASH_SOURCE[0]}")/table.py" "$out" "${figure[@]}"
