#!/usr/bin/env bash
# From nothing to the figures, the tables and the report on the paper's claims. Started again, it goes on where
# it stood.
# Usage: scripts/reproduce.sh [--size small|stored] [--only EXPERIMENT] [--out DIR] [--check]
#   --size small    every experiment at its small size on this machine: minutes on 2 cores (default)
#   --size stored   runs nothing: takes the results of the GPU runs that are kept in experiments/
#   --only NAME     of the small size one experiment alone: quickstart, instruction, identity_ablation, cache,
#                   conversion, expressiveness or bench
#   --out DIR       where results, figures and report go (default: results/reproduce_SIZE)
#   --check         compare the values with experiments/expected_SIZE.jsonl; exits with 1 where one is outside its
#                   tolerance (build/bin/make_artifact RESULTS --out DIR makes such a file)
# Experiments at other sizes: the README of each in experiments/ has its command.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

size=small only="" out="" check=false
while (($#)); do
  case $1 in
    --help | -h) usage ;;
    --check) check=true ;;
    --size | --only | --out)
      (($# >= 2)) || reject "$1 needs a value"
      declare "${1#--}=$2"
      shift
      ;;
    *) reject "unknown argument '$1'" ;;
  esac
  shift
done
[[ $size == small || $size == stored ]] || reject "--size $size: expected small or stored"
experiments="quickstart instruction identity_ablation cache conversion expressiveness bench"
[[ -z $only || " $experiments " == *" $only "* ]] || reject "--only $only: expected one of $experiments"
[[ -z $only || $size == small ]] || reject "--only: the stored results are taken as a whole"
expected=$root/experiments/expected_$size.jsonl
! $check || [[ -f $expected ]] || reject "--check: there is no $expected"
"$root/scripts/build.sh"
say "Installed and built in ${SECONDS}s"

cd "$root"
out=${out:-results/reproduce_$size}
started=$SECONDS
step() {
  say ""
  say "== $1 ($((SECONDS - started))s)"
}

# Word problems as one text per line.
write_texts() {
  build/bin/generate_data --kind word_problems --split train --seed 1 --count 1200 --out "$1.problems"
  python3 - "$1" << 'PYTHON'
import json
import sys

with open(sys.argv[1] + ".problems") as problems, open(sys.argv[1], "w") as texts:
    for row in map(json.loads, problems):
        texts.write(json.dumps({"text": f"Question: {row['question']}\nAnswer: {row['answer']}"}) + "\n")
PYTHON
  rm "$1.problems"
}

wanted() { [[ -z $only || $only == "$1" ]]; }

run_small() {
  local experiment
  mkdir -p "$out/measured"
  for experiment in quickstart instruction identity_ablation cache; do
    wanted "$experiment" || continue
    step "experiments/$experiment"
    build/bin/run_ablation --config "experiments/$experiment/exp.yaml" --set size=small \
      --out "$out/$experiment" --jobs 2 > "$out/$experiment.log"
  done
  if wanted conversion && [[ ! -f $out/measured/base_small.measured.h5 ]]; then
    step "experiments/conversion"
    write_texts "$out/texts.jsonl"
    build/bin/measure_conversion --model data/base_small --calibration "$out/texts.jsonl" \
      --ranks 16,32,48,64 --freqfolds 1,2,4,8 --tokens 4096 --heldout-tokens 4096 \
      --out "$out/measured/base_small.measured.h5" > "$out/conversion.log"
  fi
  if wanted expressiveness && [[ ! -f $out/measured/fit.measured.h5 ]]; then
    step "experiments/expressiveness"
    build/bin/fit_teacher --steps 1000 --restarts 1 --out "$out/measured/fit.measured.h5" > "$out/expressiveness.log"
  fi
  if wanted bench && [[ ! -f $out/measured/.decoded ]]; then
    step "experiments/bench: decoding"
    local form
    for form in gqa mla_absorbed mla_materialised; do
      build/bin/bench_decode --form "$form" --shape small --device cpu --dtype float32 --context 256 --context 1024 \
        --context 4096 --batch 4 --steps 5 --out "$out/measured/decode.measured.h5" >> "$out/decode.log"
    done
    touch "$out/measured/.decoded"
  fi
}

results=$out
if [[ $size == small ]]; then run_small; else results=experiments; fi
step "figures and tables"
mkdir -p "$out"
build/bin/make_figures "$results" --out "$out/figures" > "$out/figures.log"
step "report"
build/bin/make_report "$results" --claims experiments/claims.yaml --figures "$out/figures" --out "$out/report.html"
cat << TEXT

Done in $((SECONDS - started))s after the build.
  report    $out/report.html    claims and verdicts, curves, samples, configs; open it in a browser
  figures   $out/figures/*.png, .pdf, .svg, and the plotted numbers as .csv; tables as .md, .csv, .tex
  runs      build/bin/compare_runs $results
TEXT
if $check; then
  step "check"
  if [[ -n $only ]]; then
    grep -F "\"experiment\":\"$only\"" "$expected" > "$out/expected.jsonl" || fail "$expected has nothing of $only"
    expected=$out/expected.jsonl
  fi
  build/bin/make_artifact "$results" --check "$expected"
fi
