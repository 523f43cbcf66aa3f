#!/usr/bin/env bash
# Fetches public data sets for training and evaluation: each file of the table in data/README.md to DIR/<its name
# there>. Nothing else of the project downloads data.
# Usage: scripts/fetch_data.sh [--only NAME]... DIR
#        scripts/fetch_data.sh --list
#   --only NAME   only this data set (gsm8k, humaneval, …); may be repeated
#   --list        print the files and where they come from
# A file with a recorded SHA-256 is kept only if it has it; of others the sum is printed. What is there already is
# checked and not fetched again. Parquet files become JSONL (scripts/parquet_to_jsonl.py).
# Exit codes: 0 done, 1 a file could not be had or is another one, 2 bad command line.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# Lines "FILE URL SUM" of the table; SUM is "-" where none is recorded.
table() {
  awk -F' *[|] *' '$2 ~ /^`[a-z0-9_]+\/[^`]+`$/ && $4 ~ /^<https/ {
    gsub(/[`<>]/, "", $2); gsub(/[`<>]/, "", $4); gsub(/`/, "", $5)
    print $2, $4, ($5 ~ /^[0-9a-f]+$/ ? $5 : "-")
  }' "$root/data/README.md"
}

# check_sum FILE SUM
check_sum() {
  local found
  found=$(sha256sum "$1" | cut -d' ' -f1)
  if [[ $2 == - ]]; then
    say "$1: SHA-256 $found (none is recorded to compare it with)"
  elif [[ $found != "$2" ]]; then
    say "$1: SHA-256 $found, expected $2"
    return 1
  fi
}

# fetch FILE URL SUM
fetch() {
  local file=$folder/$1 url=$2 sum=$3 part=$folder/$1.part
  if [[ -e $file ]]; then
    check_sum "$file" "$sum" || return 1
    say "$file is there"
    return
  fi
  mkdir -p "$(dirname "$file")"
  [[ $url == *.parquet ]] && part=$folder/$1.parquet
  if ! curl --fail --location --silent --show-error --retry 2 --output "$part" "$url"; then
    say "$file: not fetched from $url"
    return 1
  fi
  if [[ $url == *.parquet ]]; then
    "$root/scripts/parquet_to_jsonl.py" "$part" --out "$file" || return 1
    rm "$part"
    check_sum "$file" "$sum" || return 1
  else
    if ! check_sum "$part" "$sum"; then
      rm "$part"
      return 1
    fi
    mv "$part" "$file"
  fi
  say "$file fetched"
}

folder='' only=()
while (($# > 0)); do
  case $1 in
    --help | -h) usage ;;
    --list)
      table
      exit 0
      ;;
    --only)
      (($# > 1)) || reject "--only needs a name"
      only+=("$2")
      shift
      ;;
    -*) reject "unknown argument '$1'" ;;
    *)
      [[ -z $folder ]] || reject "one folder, not '$folder' and '$1'"
      folder=$1
      ;;
  esac
  shift
done
[[ -n $folder ]] || reject "name the folder to fetch into"
names=$(table | cut -d/ -f1 | sort -u)
for name in "${only[@]}"; do
  grep -qx -- "$name" <<< "$names" || reject "no data set '$name'; there are: ${names//$'\n'/ }"
done
has curl || fail "curl is not installed (package curl)"

failed=0
while read -r file url sum; do
  if ((${#only[@]} > 0)) && ! printf '%s\n' "${only[@]}" | grep -qx -- "${file%%/*}"; then continue; fi
  fetch "$file" "$url" "$sum" || failed=1
done < <(table)
exit $failed
