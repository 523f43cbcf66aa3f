#!/usr/bin/env bash
# The noise certificate of data/base_small: evaluations that differ in one factor each. Minutes on 2 cores.
# Usage: experiments/noise/run.sh [--out DIR]    (default: results/noise)
source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/common.sh"

out=results/noise
while (($#)); do
  case $1 in
    --help | -h) usage ;;
    --out)
      (($# >= 2)) || reject "$1 needs a value"
      out=$2
      shift
      ;;
    *) reject "unknown argument '$1'" ;;
  esac
  shift
done
cd "$root"

# ask FACTOR/LEVEL OPTIONS...: 100 problems, greedy, in float32 unless an option says otherwise.
ask() {
  [[ ! -f $out/$1.h5 ]] || return 0
  build/bin/eval_model --model data/base_small --tasks word_problems --limit 100 --max-new-tokens 96 --threads 1 \
    --out "$out/$1.h5" "${@:2}" > /dev/null
}

for batch in 10 33 100; do ask "batch/$batch" --shots 0 --batch "$batch"; done
ask dtype/float32 --shots 0 --batch 100
ask dtype/bfloat16 --shots 0 --batch 100 --dtype bfloat16
ask sampling/five --shots 0 --batch 100 --samples 5 --temperature 0.7
ask prompt/all --batch 100 --calibrate 50
# What fine-tuning's order of examples adds: three seeds of the first arm of quickstart.
build/bin/run_ablation --config experiments/quickstart/exp.yaml --out "$out/data_order" --threads 1 --set 'seeds=[0, 1, 2]' \
  --set 'arms=[{name: gqa, variant: gqa}]' --set train.steps=40 --set eval.problems=0 --set 'claims={}' \
  --set 'eval.tasks=[{task: word_problems, size: 100, shots: 0, max_new_tokens: 96}]' > /dev/null
build/bin/noise_certificate "$out" --markdown
