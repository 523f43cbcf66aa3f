#!/usr/bin/env bash
# Installs what is missing to build and run attnlab, on Debian 12 or Ubuntu 24.04, as root or with sudo.
# Usage: scripts/install_deps.sh [--tests] [--dev]
#   --tests   also what the tests need (a Python with h5py)
#   --dev     also what presubmit needs (clang-format 14: other versions format otherwise)
# Prints the CMake prefix path of torch, and nothing else, on standard output. Does nothing, in about a
# second, when all is there. On other systems it only looks for torch.
#
# The torch that is used, in this order:
#   1. ATTNLAB_TORCH_PREFIX   the folder that holds Torch/TorchConfig.cmake
#   2. CMAKE_PREFIX_PATH      if it leads to a torch
#   3. the torch (2.6 or newer) of the python3 on the PATH
#   4. one in a virtual environment of our own, ATTNLAB_VENV (default ~/.cache/attnlab/venv). It is installed
#      by pip with the arguments in ATTNLAB_PIP_ARGS: name PyTorch's index of CPU wheels there if your pip
#      would take a CUDA build (several GB) on a machine without the CUDA toolkit. PIP_* settings hold too.
# Started twice at a time, the second waits for the first. What a killed one left of that environment is made anew.
# The compiler is Clang 19, which builds this in a third of GCC's time, unless CXX names another (g++ 12 or newer).
# A CUDA build of torch needs the CUDA toolkit to build against; 3 passes over it where there is none.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

torch_version=2.13.0
tests=false dev=false
for argument in "$@"; do
  case $argument in
    --help | -h) usage ;;
    --tests) tests=true ;;
    --dev) dev=true ;;
    *) reject "unknown argument '$argument'" ;;
  esac
done

libraries=(libfmt-dev libhdf5-dev libboost-program-options-dev libboost-iostreams-dev libboost-filesystem-dev
  libboost-system-dev libeigen3-dev catch2 libyaml-cpp-dev nlohmann-json3-dev libpcre2-dev libutf8proc-dev
  libsentencepiece-dev libssl-dev zlib1g-dev libprotozero-dev libgnuplot-iostream-dev fonts-dejavu-core)
# COMMAND:PACKAGE: a command from elsewhere (cmake by pip, a module system) is as good as the package.
tools=(g++:g++ make:make ninja:ninja-build ccache:ccache git:git pkg-config:pkg-config gnuplot:gnuplot-nox
  bwrap:bubblewrap python3:python3)

installed() { [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2> /dev/null) == installed ]]; }
has_cmake() {
  local version
  version=$(cmake --version 2> /dev/null | awk 'NR == 1 {print $3}')
  [[ -n $version && $(printf '%s\n3.22\n' "$version" | sort -V | head -1) == 3.22 ]]
}
has_cuda_toolkit() {
  has nvcc || [[ -x ${CUDA_HOME:-/usr/local/cuda}/bin/nvcc ]]
}

# One at a time: two pips at work in one environment leave it in pieces, and apt-get refuses to run twice.
take_lock() {
  has flock || return 0
  if ! { mkdir -p "$(dirname "$venv")" && exec 9> "$venv.lock"; } 2> /dev/null; then return 0; fi
  flock --nonblock 9 && return
  say "Another install_deps.sh is at work: waiting for it"
  flock 9
}

# Whether our environment is there and whole: pip writes RECORD last, so a package without it was cut off.
whole_venv() {
  [[ -x $venv/bin/python ]] && "$venv/bin/python" - 2> /dev/null << 'PYTHON'
import importlib.metadata, sys
import pip
sys.exit(any(not each.version or each.read_text("RECORD") is None for each in importlib.metadata.distributions()))
PYTHON
}

# The prefix of the torch that a Python has, if it is new enough and can be built against; does not import it.
torch_of() {
  local toolkit=no
  has "$1" || return 0
  has_cuda_toolkit && toolkit=yes
  "$1" - "$toolkit" 2> /dev/null << 'PYTHON' || true
import importlib.util, os, re, runpy, sys
spec = importlib.util.find_spec("torch")
if spec and spec.origin:
    folder = os.path.dirname(spec.origin)
    version = runpy.run_path(os.path.join(folder, "version.py"))
    number = tuple(int(part) for part in re.findall(r"\d+", version["__version__"])[:2])
    prefix = os.path.join(folder, "share", "cmake")
    found = os.path.exists(os.path.join(prefix, "Torch", "TorchConfig.cmake"))
    if found and number >= (2, 6) and (version.get("cuda") is None or sys.argv[1] == "yes"):
        print(prefix)
PYTHON
}

torch_on_prefix_path() {
  local entries entry folder
  IFS=';:' read -r -a entries <<< "${CMAKE_PREFIX_PATH:-}"
  for entry in "${entries[@]}"; do
    for folder in "$entry" "$entry/share/cmake"; do
      if [[ -f $folder/Torch/TorchConfig.cmake ]]; then
        echo "$folder"
        return
      fi
    done
  done
}

find_torch() {
  if [[ -n ${ATTNLAB_TORCH_PREFIX:-} ]]; then
    [[ -f $ATTNLAB_TORCH_PREFIX/Torch/TorchConfig.cmake ]] ||
      reject "ATTNLAB_TORCH_PREFIX: no Torch/TorchConfig.cmake in $ATTNLAB_TORCH_PREFIX"
    echo "$ATTNLAB_TORCH_PREFIX"
    return
  fi
  local prefix
  prefix=$(torch_on_prefix_path)
  [[ -n $prefix ]] || prefix=$(torch_of python3)
  if [[ -z $prefix ]] && whole_venv; then prefix=$(torch_of "$venv/bin/python"); fi
  echo "$prefix"
}

missing_packages() {
  local package tool
  for package in "${libraries[@]}"; do installed "$package" || echo "$package"; done
  for tool in "${tools[@]}"; do has "${tool%%:*}" || echo "${tool##*:}"; done
  has_cmake || echo cmake
  if [[ ${CXX:-clang++-19} == *clang++-19 ]]; then
    has clang++-19 || echo clang-19
    has ld.lld-19 || echo lld-19
  fi
  if [[ -z $1 ]] && ! python3 -c 'import ensurepip, venv' 2> /dev/null; then echo python3-venv; fi
  if $tests && [[ -z $(python_with_h5py) ]]; then echo python3-h5py; fi
  if $dev && [[ -z $(clang_format) ]]; then echo clang-format-14; fi
}

install_packages() {
  local elevate=()
  if ((EUID != 0)); then
    has sudo || fail "not root, and no sudo; as root: apt-get install $*"
    elevate=(sudo)
  fi
  say "Installing packages: $*"
  local apt=("${elevate[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0)
  "${apt[@]}" update >&2
  "${apt[@]}" install -y --no-install-recommends "$@" >&2 || fail "apt-get could not install: $*"
}

install_torch() {
  say "Installing torch $torch_version into $venv"
  mkdir -p "$(dirname "$venv")"
  if [[ -f $venv/pyvenv.cfg ]] && ! whole_venv; then
    say "$venv is broken: making it anew"
    python3 -m venv --clear "$venv" >&2
  fi
  [[ -x $venv/bin/pip ]] || python3 -m venv "$venv" >&2
  # shellcheck disable=SC2086  # several arguments in one variable
  "$venv/bin/pip" install --quiet ${ATTNLAB_PIP_ARGS:-} "torch==$torch_version" >&2 ||
    fail "pip could not install torch $torch_version (PIP_* settings and ATTNLAB_PIP_ARGS say from where)"
}

take_lock
torch=$(find_torch)
if has dpkg-query && has apt-get; then
  mapfile -t missing < <(missing_packages "$torch")
  ((${#missing[@]} == 0)) || install_packages "${missing[@]}"
else
  say "Neither Debian nor Ubuntu: taking the packages named in scripts/install_deps.sh as installed"
fi
if [[ -z $torch ]]; then
  install_torch
  torch=$(torch_of "$venv/bin/python")
  [[ -n $torch ]] || fail "the torch in $venv is a CUDA build and there is no CUDA toolkit (nvcc) here: install" \
    "the toolkit, or delete that folder and name PyTorch's index of CPU wheels in ATTNLAB_PIP_ARGS"
fi
echo "$torch"
