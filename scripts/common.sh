# What the scripts share; sourced, not run. Sets `root`, the folder of the checkout.
# shellcheck shell=bash
set -euo pipefail
shopt -s inherit_errexit
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export root

say() { printf '%s\n' "$*" >&2; }
fail() {
  say "$(basename "$0"): $*"
  exit "${exit_code:-1}"
}
# A wrong command line: exit code 2.
reject() { exit_code=2 fail "$* (see --help)"; }

# Prints the comment at the top of the calling script and ends it.
usage() {
  sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0"
  exit 0
}

has() { command -v "$1" > /dev/null 2>&1; }

# Where scripts/install_deps.sh puts a torch of our own.
venv=${ATTNLAB_VENV:-$HOME/.cache/attnlab/venv}

# Some tests read run files with h5py; they skip where no Python has it. Nothing is printed if none has.
python_with_h5py() {
  local python
  for python in "${ATTNLAB_PYTHON:-}" python3 "$venv/bin/python" /usr/bin/python3; do
    if [[ -n $python ]] && "$python" -c 'import h5py' 2> /dev/null; then
      echo "$python"
      return
    fi
  done
}

# The clang-format that the code is formatted with: version 14, which both Debian 12 and Ubuntu 24.04 have. Nothing
# is printed if there is none.
clang_format() {
  local name
  for name in clang-format-14 clang-format; do
    if has "$name" && [[ $("$name" --version) == *' version 14.'* ]]; then
      echo "$name"
      return
    fi
  done
}

# run_tests FOLDER [CTEST ARGUMENTS]
run_tests() {
  local folder=$1
  shift
  ATTNLAB_PYTHON=$(python_with_h5py)
  export ATTNLAB_PYTHON=${ATTNLAB_PYTHON:-python3}
  # Several tests at a time: threads that wait for each other's turn on a busy core cost more than they bring.
  export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
  ctest --test-dir "$folder" --output-on-failure -j "${CTEST_PARALLEL_LEVEL:-2}" "$@"
}

# Compilers that the memory has room for: a file that includes torch takes up to 2 GB.
parallel_jobs() {
  local cores free_gb
  cores=$(nproc)
  free_gb=$(awk '/^MemAvailable:/ {print int($2 / 2000000)}' /proc/meminfo)
  ((free_gb < cores)) && cores=$free_gb
  echo $((cores > 0 ? cores : 1))
}
