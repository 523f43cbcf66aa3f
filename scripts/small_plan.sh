# A plan of seconds for scripts that try runs out; sourced after common.sh.
# shellcheck shell=bash

programs=${ATTNLAB_BIN:-$root/build/bin}

need_programs() {
  [[ -x $programs/run_ablation ]] || fail "no $programs/run_ablation: run scripts/build.sh first"
  python=$(python_with_h5py)
  [[ -n $python ]] || fail "no Python with h5py: scripts/install_deps.sh --tests installs one"
}

# write_small_plan FILE STEPS: two arms from random weights, two seeds; a state after each step.
write_small_plan() {
  cat > "$1" << YAML
experiment: small
base:
  init: {family: llama, vocab_size: 1024, d_model: 16, n_layers: 2, n_heads: 4, n_kv_heads: 1, head_dim: 4, d_ff: 24}
  tokenizer: $root/data/base_small/tokenizer.json
  eos_token: "<|eos|>"
data: {kind: word_problems, difficulty_max: 1, size: 64, heldout_size: 8}
arms:
  - {name: gqa, variant: gqa}
  - {name: orthogonal, variant: mla_orthogonal, train: {lr: 2e-3}}
seeds: [0, 1]
train: {steps: $2, batch_size: 4, sequence_length: 48, lr: 1e-3, trainable: all, checkpoint_every: 1}
eval: {every: 10, heldout_examples: 4, problems: 3, max_new_tokens: 8}
device: cpu
YAML
}

compare() { "$python" "$root/scripts/compare_run_files.py" "$@"; }
