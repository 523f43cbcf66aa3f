#!/usr/bin/env bash
# Measures on a GPU what the paper's "10.6 times" is about: decoding steps at the largest batch that fits under caps
# of memory and at equal batches, and requests served by the paper's protocol, of Llama-2-7B's shape (multi-head
# attention) and Qwen2.5-7B's (grouped queries), each as it is and in MLA's absorbed form. Started again, it goes on
# behind the rows that are there. Then: build/bin/make_figures FOLDER --only decode_speedup --only table_4
# Usage: scripts/measure_serving.sh [--out FILE] [--seconds N] [--long] [--dry-run]
#   --out FILE     rows, NAME.measured.h5 (default: results/serving.measured.h5)
#   --seconds N    start nothing that long after the beginning: the same command goes on another time
#   --long         then serve requests of 4K and 8K tokens, too; GQA's few at a time take most of it
#   --dry-run      print the commands
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

out=results/serving.measured.h5 seconds=0 long=false dry_run=false
while (($#)); do
  case $1 in
    --help | -h) usage ;;
    --long) long=true ;;
    --dry-run) dry_run=true ;;
    --out | --seconds)
      (($# >= 2)) || reject "$1 needs a value"
      declare "${1#--}=$2"
      shift
      ;;
    *) reject "unknown argument '$1'" ;;
  esac
  shift
done
[[ $out == *.measured.h5 ]] || reject "--out $out: expected NAME.measured.h5"
[[ $seconds =~ ^[0-9]+$ ]] || reject "--seconds $seconds: expected a whole number"
cd "$root"

# measure PROGRAM SHAPE ARGUMENTS: both forms of it.
measure() {
  local program=$1 shape=$2 form
  shift 2
  for form in gqa mla_absorbed; do
    local command=(build/bin/"$program" --form "$form" --shape "$shape" "$@" --resume --out "$out")
    if $dry_run; then
      printf '%s\n' "${command[*]}"
    elif ((seconds > 0 && SECONDS >= seconds)); then
      say "left for the next time: ${command[*]}"
    else
      "${command[@]}"
      say "$program $form $shape done after ${SECONDS}s"
    fi
  done
}

contexts=(--context 1024 --context 2048 --context 4096 --context 8192 --context 16384 --context 32768)
caps=(--memory-limit 24G --memory-limit 40G --memory-limit 64G)
$dry_run || mkdir -p "$(dirname "$out")"
measure bench_decode llama2-7b "${contexts[@]}" "${caps[@]}" --memory-limit all --steps 10
measure bench_decode llama2-7b "${contexts[@]}" --batch 16 --batch 1 --steps 10
measure bench_serve llama2-7b --context 1024 "${caps[@]}" --memory-limit all
measure bench_decode qwen2.5-7b "${contexts[@]}" "${caps[@]}" --memory-limit all --steps 10
measure bench_decode qwen2.5-7b "${contexts[@]}" --batch 16 --batch 1 --steps 10
measure bench_serve qwen2.5-7b --context 1024 --memory-limit 24G
if $long; then
  measure bench_serve llama2-7b --context 4096 "${caps[@]}"
  measure bench_serve qwen2.5-7b --context 4096 --memory-limit 24G
  measure bench_serve llama2-7b --context 8192 "${caps[@]}"
fi
