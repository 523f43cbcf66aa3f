#!/usr/bin/env bash
# Writes the pages that follow from the programs: experiments/CONFIG.md (every key of exp.yaml) and
# experiments/programs/README.md (what each program says of itself).
# Usage: scripts/write_references.sh [--check] [--bin DIR]
#   --check     writes nothing; ends with code 1 and a difference if a page is stale
#   --bin DIR   where the built programs lie (default: build/bin)
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

check=false bin=$root/build/bin
while (($#)); do
  case $1 in
    --help | -h) usage ;;
    --check) check=true ;;
    --bin)
      (($# >= 2)) || reject "$1 needs a value"
      bin=$2
      shift
      ;;
    *) reject "unknown argument '$1'" ;;
  esac
  shift
done

# Every source with a main; each is called as its program.
programs() {
  grep -rlE '^int main\(' --include='*.cpp' "$root/experiments" "$root/paper_figs" | xargs -n1 basename -s .cpp |
    sort
}

program_page() {
  local name
  cat << 'TEXT'
# The programs

Written by `scripts/write_references.sh` from what each program prints with `--help`; a test compares. They lie in
`build/bin/`. [GUIDE.md](../GUIDE.md) tells when to use which.

All exit with 0 when done, 1 when something failed while running, 2 for bad input, which is told in one line: file,
line, key, what was found, what was expected, the nearest valid name. Option names are never guessed from a prefix.
TEXT
  for name in $(programs); do
    [[ -x $bin/$name ]] || fail "$bin/$name is not built"
    printf '\n## %s\n\n```\n' "$name"
    "$bin/$name" --help
    printf '```\n'
  done
}

# put PAGE: standard input becomes the page, or is compared with it.
stale=0
put() {
  local new
  new=$(mktemp)
  cat > "$new"
  if ! $check; then
    mkdir -p "$(dirname "$1")"
    cat "$new" > "$1"
  elif ! diff -u --label "$1" --label "as the programs say" "$1" "$new" >&2; then
    say "$1 is stale: run scripts/write_references.sh"
    stale=1
  fi
  rm "$new"
}

# Written first, so that a program that fails leaves the pages alone.
[[ -x $bin/run_ablation ]] || fail "$bin/run_ablation is not built"
config=$("$bin/run_ablation" --help-config)
page=$(program_page)
put "$root/experiments/CONFIG.md" <<< "$config"
put "$root/experiments/programs/README.md" <<< "$page"
exit "$stale"
