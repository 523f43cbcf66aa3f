#!/usr/bin/env bash
# From a clone to a verdict: installs, builds, trains the arms of experiments/quickstart/exp.yaml, draws the
# figures and prints the verdict. Started again, it goes on where it stood.
# Usage: scripts/quickstart.sh [RUN_ABLATION ARGUMENTS]     for instance: --set train.steps=50
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

if [[ ${1:-} == --help || ${1:-} == -h ]]; then usage; fi
"$root/scripts/build.sh" --unity --target run_ablation --target make_figures --target compare_runs --target make_report
say "Installed and built in ${SECONDS}s"

cd "$root"
SECONDS=0
results=results/quickstart
arguments=("$@")
for ((i = 0; i + 1 < $#; ++i)); do
  if [[ ${arguments[i]} == --out ]]; then results=${arguments[i + 1]}; fi
done
build/bin/run_ablation --config experiments/quickstart/exp.yaml "$@"
build/bin/make_figures "$results" --out "$results/figures"
cat << TEXT

Done in ${SECONDS}s.
  runs      $results/<arm>/seed<k>.h5   (results/README.md says what is inside)
  figures   $results/figures/*.png, .pdf, .svg, and the plotted numbers as .csv
  again     build/bin/compare_runs $results
  next      edit a copy of experiments/quickstart/exp.yaml, then build/bin/run_ablation --config COPY
TEXT
