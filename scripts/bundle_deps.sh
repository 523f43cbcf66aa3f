#!/usr/bin/env bash
# Collects the C++ libraries that attnlab needs in one folder, for a machine without network.
# Usage: scripts/bundle_deps.sh DIR [--tar FILE]
#   DIR          made if needed; packages are unpacked into it, nothing is installed
#   --tar FILE   also pack DIR into FILE (.tar.zst, .tar.xz or .tar.gz)
# Run it on Debian or Ubuntu with network; the other machine must have the same or a newer glibc, and its own
# torch, HDF5, CMake and compiler. There, call scripts/build_offline.sh with DIR or FILE.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

target="" archive=""
while (($#)); do
  case $1 in
    --help | -h) usage ;;
    --tar)
      (($# >= 2)) || reject "--tar needs a file"
      archive=$(realpath -m "$2")
      shift
      ;;
    -*) reject "unknown option '$1'" ;;
    *)
      [[ -z $target ]] || reject "one DIR only, found also '$1'"
      target=$(realpath -m "$1")
      ;;
  esac
  shift
done
[[ -n $target ]] || reject "no DIR given"
has apt-get || fail "needs apt-get (Debian or Ubuntu)"

roots=(libboost-program-options-dev libboost-iostreams-dev libboost-filesystem-dev libboost-system-dev
  libeigen3-dev libfmt-dev catch2 libyaml-cpp-dev nlohmann-json3-dev libpcre2-dev libutf8proc-dev
  libsentencepiece-dev libssl-dev zlib1g-dev libprotozero-dev libgnuplot-iostream-dev)
# Of what they depend on, these are taken along (libbz2, of Boost.Iostreams, has another name
# on other systems); the rest (libc, zlib, Python, ...) is on any machine.
wanted='^(libboost|libeigen3|libfmt|catch2|libyaml-cpp|nlohmann-json3|libpcre2|libutf8proc|libsentencepiece|libprotobuf-lite|libabsl|libssl|zlib1g-dev|libprotozero|libgnuplot-iostream|libbz2-1.0$|liblzma5$|libzstd1$)'
unwanted='^(libboost.*(regex|serialization|wave|python|mpi|test|locale|log)|libssl-doc)'

closure() {
  apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
    --no-enhances "$@" | grep -oE '^[a-z0-9][a-z0-9+.-]*' | sort -u | grep -E "$wanted" | grep -vE "$unwanted"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [[ -z $(apt-cache policy catch2 | awk '/Candidate: [^(]/') ]]; then
  say "apt knows no packages yet: calling apt-get update"
  if ((EUID == 0)); then apt-get -qq update >&2; else sudo apt-get -qq update >&2; fi
fi
mapfile -t packages < <(closure "${roots[@]}")
((${#packages[@]} >= ${#roots[@]})) || fail "apt does not know all of: ${roots[*]}"
say "Downloading ${#packages[@]} packages"
(cd "$work" && apt-get -qq -o APT::Sandbox::User=root download "${packages[@]}" >&2) ||
  fail "apt-get could not download: ${packages[*]}"

mkdir -p "$target"
for package in "$work"/*.deb; do dpkg -x "$package" "$target"; done
if [[ -d $target/lib ]]; then  # Debian 12 keeps a few libraries there
  cp -a "$target/lib/." "$target/usr/lib/"
  rm -r "$target/lib"
fi
# Built here are shared libraries only: documentation and static libraries are not needed.
rm -rf "$target"/usr/share/{doc,man,lintian,bug,gdb}
find "$target/usr/lib" -name '*.a' ! -name 'libCatch2*.a' -delete

if [[ -n $archive ]]; then
  tar --auto-compress --owner=0 --group=0 --sort=name --mtime=@0 -C "$target" -cf "$archive" usr
  say "Packed: $archive ($(du -h "$archive" | cut -f1))"
fi
say "Unpacked: $target ($(du -sh "$target" | cut -f1))"
cat << TEXT
On the machine without network:
  scripts/build_offline.sh ${archive:-$target}
which is, with P=$target and TORCH=\$(python3 -c 'import torch; print(torch.utils.cmake_prefix_path)'):
  export CPATH=\$P/usr/include LIBRARY_PATH=\$P/usr/lib/$(uname -m)-linux-gnu
  export LD_LIBRARY_PATH=\$LIBRARY_PATH
  cmake -S . -B build -DCMAKE_PREFIX_PATH="\$P/usr;\$TORCH" && cmake --build build
TEXT
