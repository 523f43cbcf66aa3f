#!/usr/bin/env bash
# Builds with libraries from scripts/bundle_deps.sh, on a machine without network and without root.
# Usage: scripts/build_offline.sh BUNDLE [--into DIR] [-DNAME=VALUE]... [--target NAME]...
#   BUNDLE       the folder that bundle_deps.sh filled, or its archive, which is unpacked into build/deps
#   --into DIR   build folder (default: build)
# torch is taken as scripts/install_deps.sh does: ATTNLAB_TORCH_PREFIX, CMAKE_PREFIX_PATH, or the python3 on
# the PATH. Tests are left out if the bundle and the machine have no Catch2.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

folder=$root/build bundle=""
settings=() targets=()
while (($#)); do
  case $1 in
    --help | -h) usage ;;
    --into | --target)
      (($# >= 2)) || reject "$1 needs a value"
      if [[ $1 == --into ]]; then folder=$(realpath -m "$2"); else targets+=(--target "$2"); fi
      shift
      ;;
    -D*) settings+=("$1") ;;
    -*) reject "unknown option '$1'" ;;
    *)
      [[ -z $bundle ]] || reject "one BUNDLE only, found also '$1'"
      bundle=$(realpath -m "$1")
      ;;
  esac
  shift
done
[[ -e $bundle ]] || reject "BUNDLE: ${bundle:-none given}: no such file or folder"

if [[ -f $bundle ]]; then
  deps=$folder/deps
  if [[ ! -f $deps/.unpacked || $bundle -nt $deps/.unpacked ]]; then
    rm -rf "$deps"
    mkdir -p "$deps"
    tar --auto-compress -C "$deps" -xf "$bundle" || fail "$bundle could not be unpacked"
    touch "$deps/.unpacked"
  fi
  bundle=$deps
fi
[[ -d $bundle/usr/include ]] || reject "$bundle: no usr/include in it; was it made by scripts/bundle_deps.sh?"

torch=${ATTNLAB_TORCH_PREFIX:-}
if [[ -z $torch ]]; then
  torch=$(python3 -c 'import torch; print(torch.utils.cmake_prefix_path)' 2> /dev/null || true)
fi
if [[ -z $torch && -z ${CMAKE_PREFIX_PATH:-} ]]; then
  fail "no torch found: put a python3 that has it on the PATH, or set ATTNLAB_TORCH_PREFIX"
fi

libraries=$(find "$bundle/usr/lib" -maxdepth 1 -name '*-linux-gnu' | head -1)
export CPATH=$bundle/usr/include${CPATH:+:$CPATH}
export LIBRARY_PATH=$libraries${LIBRARY_PATH:+:$LIBRARY_PATH}
export LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
settings+=("-DCMAKE_PREFIX_PATH=$bundle/usr;$torch;${CMAKE_PREFIX_PATH:-}")
if [[ ! -d $bundle/usr/include/catch2 && ! -d /usr/include/catch2 ]]; then settings+=(-DATTNLAB_TESTS=OFF); fi
generator=()
if has ninja; then generator=(-G Ninja); fi

cmake -S "$root" -B "$folder" "${generator[@]}" "${settings[@]}" >&2
cmake --build "$folder" -j "${CMAKE_BUILD_PARALLEL_LEVEL:-$(parallel_jobs)}" "${targets[@]}" >&2
say "Built in ${SECONDS}s: $folder/bin. To run: export LD_LIBRARY_PATH=$libraries"
