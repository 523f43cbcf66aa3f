#!/usr/bin/env bash
# Programs that attack the sandbox, among canaries: exits with 1 if one of them gets away with something.
#   scripts/hostile_test.sh FILE.jsonl [--danger] [--only KIND] [--problems HumanEval.jsonl.gz]
# Rows: tests/sandbox/hostile.py. --danger: also those that hurt the machine if they get out.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${BUILD:-build}
if [[ ! -x $build/bin/judge_programs ]]; then
  echo "no $build/bin/judge_programs: cmake --build $build --target judge_programs" >&2
  exit 2
fi
exec python3 tests/sandbox/hostile.py --judge "$build/bin/judge_programs" \
  --problems ../shared/data/humaneval/HumanEval.jsonl.gz "$@"
