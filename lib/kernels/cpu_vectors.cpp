#include "kernels/cpu_vectors.h"

#include <ATen/Version.h>

#include <optional>
#include <string>

namespace attnlab::vectors {
namespace {

std::optional<Loops> find_loops() {
#ifdef ATTNLAB_X86_VECTORS
  const std::string capability = at::get_cpu_capability();
  if (capability == "AVX512") return avx512::loops();
  if (capability == "AVX2") return avx2::loops();
#endif
  return std::nullopt;
}

}  // namespace

const Loops* loops() {
  static const auto found = find_loops();
  return found ? &*found : nullptr;
}

}  // namespace attnlab::vectors
