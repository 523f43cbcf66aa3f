#!/usr/bin/env bash
# Builds the fuzz targets with clang, libFuzzer and the sanitizers in build-fuzz/ and runs each for a while.
# Usage: scripts/fuzz.sh [--minutes N] [--corpus DIR] [TARGET…]
#   --minutes N    for each target (default: 15)
#   --corpus DIR   where the inputs that were found grow, a folder per target (default: build-fuzz/corpus)
#   TARGET         one of tests/fuzz/TARGET_fuzz.cpp (default: all)
# A finding ends the run with exit code 1; the input that shows it is in build-fuzz/findings/.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

folder=$root/build-fuzz minutes=15 corpus='' targets=()
while (($#)); do
  case $1 in
    --help | -h) usage ;;
    --minutes | --corpus)
      (($# >= 2)) || reject "$1 needs a value"
      if [[ $1 == --minutes ]]; then minutes=$2; else corpus=$(realpath -m "$2"); fi
      shift
      ;;
    -*) reject "unknown argument '$1'" ;;
    *) targets+=("$1") ;;
  esac
  shift
done
[[ $minutes =~ ^[1-9][0-9]*$ ]] || reject "--minutes $minutes: expected a whole number from 1"
corpus=${corpus:-$folder/corpus}

mapfile -t known < <(cd "$root/tests/fuzz" && printf '%s\n' *_fuzz.cpp | sed 's/_fuzz\.cpp$//')
((${#targets[@]})) || targets=("${known[@]}")
for target in "${targets[@]}"; do
  [[ " ${known[*]} " == *" $target "* ]] || reject "no target '$target'; there are: ${known[*]}"
done
clang=clang++-19
has $clang || clang=clang++
has $clang || fail "clang++ is not installed (packages clang-19 and libclang-rt-19-dev, or clang)"

wanted=()
for target in "${targets[@]}"; do wanted+=(--target "fuzz_$target"); done
flags="-fsanitize=fuzzer-no-link -fno-sanitize-recover=undefined -g1"
CXX=$clang "$root/scripts/build.sh" --into "$folder" -DATTNLAB_FUZZ=ON -DATTNLAB_SANITIZE=ON \
  -DCMAKE_CXX_COMPILER=$clang "-DCMAKE_CXX_FLAGS=$flags" "${wanted[@]}"

# Torch keeps what it allocates once; the leak checker would report it.
export ASAN_OPTIONS=detect_leaks=0:${ASAN_OPTIONS:-}
export OMP_NUM_THREADS=1
mkdir -p "$folder/findings"
for target in "${targets[@]}"; do
  mkdir -p "$corpus/$target"
  say "fuzz: $target for $minutes minutes"
  "$folder/bin/fuzz_$target" -max_total_time=$((minutes * 60)) -timeout=30 -malloc_limit_mb=1024 \
    -rss_limit_mb=2560 -max_len=65536 -print_final_stats=1 -verbosity=1 \
    -dict="$root/tests/fuzz/$target.dict" -artifact_prefix="$folder/findings/$target-" \
    "$corpus/$target" "$root/tests/fuzz/seeds/$target"
done
