#!/usr/bin/env bash
# Converts a base to every form of the table, one after the other, and prints the table. What is done is not done again.
# Usage: experiments/equal_bytes/run.sh --model DIR --calibration FILE --out DIR [--heldout FILE] [--tokens N] [--heldout-tokens N] [--group N]
#          [--pruned DIR]
#   --model        the base, GQA in Hugging Face's layout
#   --calibration  text or .jsonl, as convert_model takes it; --heldout: what to measure on
#   --group        columns that share a scale (default 64; it must divide the base's widths)
#   --pruned       a model that a run pruned (exp.yaml): a row as it is
# Device and dtype: CPU, bfloat16.
source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/common.sh"

model='' calibration='' out='' heldout='' pruned='' tokens=8192 heldout_tokens=4096 group=64
while (($#)); do
  case $1 in
    --help | -h) usage ;;
    --model) model=$2 ;;
    --calibration) calibration=$2 ;;
    --heldout) heldout=$2 ;;
    --out) out=$2 ;;
    --tokens) tokens=$2 ;;
    --heldout-tokens) heldout_tokens=$2 ;;
    --group) group=$2 ;;
    --pruned) pruned=$2 ;;
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

# convert NAME FORM SETTINGS [THEN...]; `from` is the model
from=$model
convert() {
  local name=$1 form=$2 settings=() setting
  for setting in $3; do settings+=(--set "$setting"); done
  local then=()
  for setting in "${@:4}"; do then+=(--then "$setting"); done
  [[ -f $out/$name/conversion.json ]] && return
  local measure=()
  [[ -z $heldout ]] || measure=(--heldout "$heldout")
  echo "$name" >&2
  local began=$SECONDS
  "$root/build/bin/convert_model" --model "$from" --to "$form" "${settings[@]}" "${then[@]}" \
    --calibration "$calibration" "${measure[@]}" --tokens "$tokens" --heldout-tokens "$heldout_tokens" \
    --dtype bfloat16 --device cpu --out "$out/$name" > "$out/$name.log" 2>&1 || { tail -3 "$out/$name.log" >&2; rm -rf "${out:?}/$name"; return; }
  echo $((SECONDS - began)) > "$out/$name.seconds"
}

packed() { echo "bits=$1 group_size=$group act_order=true sym=false"; }
for bits in 8 4 3 2; do convert "gptq $bits" gptq "$(packed "$bits")"; done
for bits in 4 3; do convert "rtn $bits" rtn "bits=$bits group_size=$group sym=false"; done
for share in 20 30; do convert "slicegpt $share" slicegpt "sparsity=0.$share"; done
for share in 50 25 12.5; do convert "mla $share" mla_deepseek "$(latent "$share")"; done
convert "mla 50, gptq 4" mla_deepseek "$(latent 50)" "gptq $(packed 4)"
convert "mla 25, gptq 4" mla_deepseek "$(latent 25)" "gptq $(packed 4)"
convert "slicegpt 20, gptq 4" slicegpt "sparsity=0.20 round_interval=$group" "gptq $(packed 4)"
convert "mla 50, slicegpt 20, gptq 4" mla_deepseek "$(latent 50)" "slicegpt sparsity=0.20 round_interval=$group" "gptq $(packed 4)"
# An exact form, for what it tells of the model that it is made from.
if [[ -n $pruned ]]; then from=$pruned convert "pruned (as it is)" mla_identity ""; fi
"$(dirname "${BASH_SOURCE[0]}")/table.py" "$out"
