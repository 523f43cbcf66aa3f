#!/usr/bin/env bash
# Installs what is missing, configures if needed, and builds; programs land in build/bin/.
# Usage: scripts/build.sh [--into DIR] [--target NAME]... [--unity] [-DNAME=VALUE]...
#   --into DIR      build folder (default: build)
#   --target NAME   build only this target
#   --unity         if the build folder is new: up to 16 files are compiled at a time, which makes a build from nothing
#                   shorter, and one after a change of one file longer (ATTNLAB_UNITY)
#   -DNAME=VALUE    passed to CMake, for instance -DATTNLAB_WERROR=ON
# ATTNLAB_WERROR=ON in the environment makes warnings errors, as -DATTNLAB_WERROR=ON does.
# CC and CXX name another compiler than Clang 19, where the build folder is new; CXX=g++ is GCC.
# CMAKE_BUILD_PARALLEL_LEVEL sets the number of compilers (default: what cores and memory allow).
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

folder=$root/build
settings=()
targets=()
unity=()
while (($#)); do
  case $1 in
    --help | -h) usage ;;
    --into | --target)
      (($# >= 2)) || reject "$1 needs a value"
      if [[ $1 == --into ]]; then folder=$(realpath -m "$2"); else targets+=(--target "$2"); fi
      shift
      ;;
    --unity) unity=(-DATTNLAB_UNITY=ON) ;;
    -D*) settings+=("$1") ;;
    *) reject "unknown argument '$1'" ;;
  esac
  shift
done

torch=$("$root/scripts/install_deps.sh")
settings+=("-DCMAKE_PREFIX_PATH=$torch${CMAKE_PREFIX_PATH:+;${CMAKE_PREFIX_PATH//:/;}}")
[[ -z ${ATTNLAB_WERROR:-} ]] || settings+=("-DATTNLAB_WERROR=$ATTNLAB_WERROR")
if [[ -z ${CXX:-} ]] && has clang++-19; then export CC=clang-19 CXX=clang++-19; fi
generator=()
if has ninja; then generator=(-G Ninja); fi

# Ninja configures again by itself when a CMakeLists.txt changes, but not when one appears or goes.
wanted=$(printf '%s\n' "${generator[@]}" "${settings[@]}" && cd "$root" &&
  find lib experiments/programs paper_figs tests -name CMakeLists.txt | sort)
stamp=$folder/.configured
if [[ ! -f $folder/CMakeCache.txt || ! -f $stamp || $(< "$stamp") != "$wanted" ]]; then
  if [[ -f $folder/CMakeCache.txt ]]; then unity=(); fi
  rm -f "$stamp"
  cmake -S "$root" -B "$folder" "${generator[@]}" "${unity[@]}" "${settings[@]}" >&2
  echo "$wanted" > "$stamp"
fi
cmake --build "$folder" -j "${CMAKE_BUILD_PARALLEL_LEVEL:-$(parallel_jobs)}" "${targets[@]}" >&2
