#!/usr/bin/env bash
# Installs what the tests need, builds, and runs all tests.
# Usage: scripts/test.sh [CTEST ARGUMENTS]      for instance: scripts/test.sh -R '^text'
# CTEST_PARALLEL_LEVEL sets how many tests run at a time (default 2).
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

if [[ ${1:-} == --help || ${1:-} == -h ]]; then usage; fi
"$root/scripts/install_deps.sh" --tests > /dev/null
"$root/scripts/build.sh" --unity
say "Built in ${SECONDS}s"

run_tests "$root/build" "$@"
