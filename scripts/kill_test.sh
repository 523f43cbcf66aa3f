#!/usr/bin/env bash
# Kills run_ablation with kill -9 at random instants and starts it again, until its plan is complete; compares
# the run files with those of an undisturbed run, bit for bit; and again with a fresh folder, for N kills.
# Usage: scripts/kill_test.sh N [--seed S] [--ranks R [--shard optimizer|parameters]]
# With --ranks R each run is made by R processes, one of which, drawn anew, is killed: all must end, with one line
# that names it.
# Every other kill falls anywhere in the program's life, the others while it trains, where it saves its state
# after each step. Exit code 1 at the first difference; the folder with all files is then kept.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=small_plan.sh
source "$root/scripts/small_plan.sh"

wanted="" seed=1 ranks=1 sharded=none
while (($#)); do
  case $1 in
    --help | -h) usage ;;
    --seed)
      (($# >= 2)) || reject "--seed needs a value"
      seed=$2
      shift
      ;;
    --ranks)
      (($# >= 2)) || reject "--ranks needs a value"
      ranks=$2
      shift
      ;;
    --shard)
      (($# >= 2)) || reject "--shard needs a value"
      sharded=$2
      shift
      ;;
    *[!0-9]* | '') reject "found '$1', expected how many kills" ;;
    *) wanted=$1 ;;
  esac
  shift
done
[[ -n $wanted ]] || reject "expected how many kills"
need_programs
folder=$(mktemp -d "${TMPDIR:-/tmp}/attnlab-kill-XXXXXX")
write_small_plan "$folder/exp.yaml" 30
command=("$programs/run_ablation" --config "$folder/exp.yaml" --threads 1 --ranks "$ranks" --set "train.shard=$sharded")
export ATTNLAB_RANK_SILENCE=${ATTNLAB_RANK_SILENCE:-10}

now_ms() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }
start=$(now_ms)
"${command[@]}" --out "$folder/undisturbed" > "$folder/undisturbed.log" 2>&1 || fail "see $folder/undisturbed.log"
whole=$(($(now_ms) - start))
say "undisturbed: $whole ms; seed $seed; $folder"

RANDOM=$seed
pause() { sleep "$(printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)))"; }
# RANDOM advances in this shell only, so the numbers of a kill are drawn before anything else happens.
draw() {
  anywhere=$(((RANDOM * 32768 + RANDOM) % whole))
  training=$(((RANDOM * 32768 + RANDOM) % 400))
  victim=$((RANDOM % ranks))
}

# The process itself, or the drawn rank of those that it started.
victim_of() {
  local children
  ((ranks > 1)) || { echo "$1" && return; }
  mapfile -t children < <(ps --no-headers --format pid --ppid "$1" | tr -d ' ')
  echo "${children[victim]:-}"
}
# After a rank's death: one line that names it, and nobody left.
check_ended() {
  (($(grep -c 'killed by signal 9' "$folder/killed.log") == 1)) ||
    fail "after kill $kills (seed $seed): $(tail -3 "$folder/killed.log"); kept: $folder"
  [[ -z $(pgrep -f -- "--config $folder/exp.yaml") ]] || fail "after kill $kills (seed $seed): a rank is left"
}

# Whether the process that was started last made a file of that name.
left_behind() {
  [[ -n $(find "$folder/killed" -name "$1" -newer "$folder/started" -print -quit 2> /dev/null) ]]
}

# A state newer than the start of this process: it trains.
wait_for_training() {
  local process=$1
  while kill -0 "$process" 2> /dev/null; do
    if left_behind '*.state*'; then return; fi
    sleep 0.01
  done
}

check() {
  compare "$folder/undisturbed" "$folder/killed" > "$folder/comparison" ||
    fail "after kill $kills (seed $seed): $(< "$folder/comparison"); kept: $folder"
  [[ -z $(find "$folder/killed" -name '*.state*' -o -name '*.tmp') ]] ||
    fail "after kill $kills (seed $seed): states or temporary files are left; kept: $folder"
  compared=$((compared + 1))
  rm -rf "$folder/killed"
}

kills=0 compared=0 in_state=0 in_file=0 starts=0
begin=$SECONDS
while ((kills < wanted)); do
  draw
  touch "$folder/started"
  "${command[@]}" --out "$folder/killed" > "$folder/killed.log" 2>&1 &
  process=$!
  starts=$((starts + 1))
  if ((starts % 2)); then
    pause "$anywhere"
  else
    wait_for_training "$process"
    pause "$training"
  fi
  target=$(victim_of "$process")
  killed=0
  if [[ -n $target ]] && kill -9 "$target" 2> /dev/null; then killed=1; fi
  code=0
  wait "$process" 2> /dev/null || code=$?
  ((ranks == 1 || killed == 0 || code != 1)) || { check_ended && code=137; }
  case $code in
    137)
      kills=$((kills + 1))
      if left_behind '*.state*.tmp'; then in_state=$((in_state + 1)); fi
      if left_behind '*.h5.tmp'; then in_file=$((in_file + 1)); fi
      ((kills % 10)) || say "$kills/$wanted kills, $compared plans compared, $((SECONDS - begin)) s"
      ;;
    0) check ;;
    *) fail "after kill $kills (seed $seed): exit code $code: $(tail -1 "$folder/killed.log"); kept: $folder" ;;
  esac
done
"${command[@]}" --out "$folder/killed" > "$folder/killed.log" 2>&1 ||
  fail "after the last kill: $(tail -1 "$folder/killed.log"); kept: $folder"
check
echo "$kills kills ($in_state inside the writing of a state, $in_file of a run file), $starts starts," \
  "$compared plans of 4 runs: all equal to the undisturbed ones; seed $seed, $((SECONDS - begin)) s"
rm -rf "$folder"
