#!/usr/bin/env bash
# What every change must pass: format, script syntax, sizes, types defined once, a build without warnings, all tests.
# Usage: scripts/presubmit.sh [--sanitize] [--no-build]
#   --sanitize   also build the torch-free rooms with address and undefined-behaviour sanitizers
#                (in build-sanitize/) and run their tests
#   --no-build   only the checks that take seconds
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

sanitize=false build=true
for argument in "$@"; do
  case $argument in
    --help | -h) usage ;;
    --sanitize) sanitize=true ;;
    --no-build) build=false ;;
    *) reject "unknown argument '$argument'" ;;
  esac
done
cd "$root"
failed=0
report() {
  say "presubmit: $*"
  failed=1
}

mapfile -t sources < <(git ls-files '*.h' '*.cpp')
mapfile -t kernels < <(git ls-files '*.cu')
mapfile -t scripts < <(git ls-files '*.sh' '*.sbatch' '.ci/run')

check_format() {
  local format
  format=$(clang_format)
  if [[ -z $format ]]; then
    report "clang-format 14 is not installed (scripts/install_deps.sh --dev)"
  elif ! "$format" --dry-run --Werror "${sources[@]}"; then
    report "format: run $format -i on the files above"
  fi
}

check_scripts() {
  local script
  for script in "${scripts[@]}"; do bash -n "$script" || report "$script: syntax"; done
  if has shellcheck; then shellcheck -x -P scripts "${scripts[@]}" || report "shellcheck"; fi
}

# Small files are read; large ones are searched. At most 5 % of the files may pass 350 lines.
check_sizes() {
  local lines file long=0
  while read -r lines file; do
    if [[ $file != total ]] && ((lines > 350)); then
      long=$((long + 1))
      say "$file: $lines lines"
    fi
  done < <(wc -l "${sources[@]}")
  if ((long * 20 > ${#sources[@]})); then report "more than 5 % of the files have over 350 lines"; fi
}

# Functions over 60 lines, and types with two definitions.
check_cpp() {
  local tested
  if ! has python3; then
    report "python3 is not installed"
    return
  fi
  if ! tested=$(python3 scripts/check_cpp_test.py 2>&1); then
    say "$tested"
    report "check_cpp.py fails its own tests"
  fi
  python3 scripts/check_cpp.py "${sources[@]}" "${kernels[@]}" || report "functions or types: see above"
}

check_rooms() {
  local folder room
  for folder in lib/*/; do
    room=$(basename "$folder")
    grep -q "^| [0-9] | \`$room\` |" CONTRIBUTING.md || report "CONTRIBUTING.md: no row for lib/$room"
  done
}

# All of torch costs each file that includes it; what the project uses is precompiled.
check_torch() {
  if grep -l '#include <torch/torch.h>' "${sources[@]}"; then report 'the files above: #include "tensor/torch.h"'; fi
}

check_format
check_scripts
check_sizes
check_cpp
check_rooms
check_torch
((failed == 0)) || exit 1
$build || exit 0

# The same folder and flags each time, so that nothing is built twice.
scripts/build.sh --into build-presubmit -DATTNLAB_WERROR=ON
run_tests build-presubmit

if $sanitize; then
  # Torch's own libraries are not instrumented; rooms that use it are left out.
  mapfile -t rooms < <(grep -L TORCH tests/*/CMakeLists.txt | xargs -n1 dirname | xargs -n1 basename)
  targets=()
  for room in "${rooms[@]}"; do targets+=(--target "test_$room"); done
  scripts/build.sh --into build-sanitize -DATTNLAB_SANITIZE=ON "${targets[@]}"
  pattern=$(IFS='|' && echo "^(${rooms[*]})\\.")
  export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
  run_tests build-sanitize --no-tests=error -R "$pattern"
fi
