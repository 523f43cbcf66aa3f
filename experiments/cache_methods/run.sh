#!/usr/bin/env bash
# From random weights to the figure: trains a base that can look things up, the arms from it, calibrates KVQuant, measures
# every way of keeping each arm's cache, and draws. What is done is not done again.
# Usage: experiments/cache_methods/run.sh --size small|gpu [--out DIR]
#   --size small  minutes on two cores; gpu: a quarter of an hour of one GPU
#   --out DIR     for measurements and figures (default: results/cache_methods_measured)
source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/common.sh"

size='' out=results/cache_methods_measured
while (($#)); do
  case $1 in
    --help | -h) usage ;;
    --size) size=${2-} ;;
    --out) out=${2-} ;;
    *) reject "unknown argument '$1'" ;;
  esac
  (($# >= 2)) || reject "$1 needs a value"
  shift 2
done
cd "$root"
case $size in
  small) options=(--set size=small) name=cache_methods_small config=caches_small.yaml device=cpu dtype=float32 base=pretrain_small_lookup ;;
  gpu) options=() name=cache_methods config=caches.yaml device=cuda dtype=bfloat16 base=pretrain_small_1k ;;
  *) reject "--size small or gpu" ;;
esac
mkdir -p "$out"

step() { echo "[$SECONDS s] $*"; }

step "the base"
if [[ $size == gpu && ! -d results/base_small_2k ]]; then
  mkdir -p results/base_small_2k
  cp data/base_small/* results/base_small_2k/
  sed -i 's/"max_position_embeddings": *[0-9]*/"max_position_embeddings": 2048/' results/base_small_2k/config.json
fi
if [[ $size == gpu && ! -d results/$base/gqa/seed0.model ]]; then
  build/bin/run_ablation --config experiments/pretrain_small/short.yaml
fi
[[ -d results/$base/gqa/seed0.model ]] ||
  build/bin/run_ablation --config experiments/pretrain_small/long.yaml "${options[@]}" --set device="$device"
step "the arms"
build/bin/run_ablation --config experiments/cache_methods/exp.yaml "${options[@]}" $([[ $size == gpu ]] && echo --jobs 6)

step "KVQuant's levels"
text=results/$name/calibration.jsonl
build/bin/generate_data --kind word_problems --count 600 --difficulty-max 5 --out "$text"
arms=(gqa mla_orthogonal mla_deepseek_50 mla_deepseek_25)
for arm in "${arms[@]}"; do
  [[ -f results/$name/$arm.kvquant.safetensors ]] || build/bin/calibrate_cache --model "results/$name/$arm/seed0.model" \
    --calibration "$text" --tokens 8192 --row-length 256 --device "$device" --out "results/$name/$arm.kvquant.safetensors"
done

step "every way of keeping a cache"
measure() {
  build/bin/measure_caches --config "experiments/cache_methods/$config" --device "$device" --dtype "$dtype" \
    --model "$1" --out "$out/$1.measured.h5" "${@:2}"
}
arms+=(cla yoco)
if [[ $size == gpu ]]; then  # at once, and the steps' times by themselves
  jobs=()
  for arm in "${arms[@]}"; do
    measure "$arm" --no-times > "$out/$arm.log" 2>&1 &
    jobs+=($!)
  done
  for job in "${jobs[@]}"; do wait "$job"; done
  step "times"
  for arm in "${arms[@]}"; do measure "$arm" --times; done
else
  for arm in "${arms[@]}"; do measure "$arm"; done
fi
step "the figure"
build/bin/make_figures "$out" --only cache_methods --out "$out/figures"
step done
