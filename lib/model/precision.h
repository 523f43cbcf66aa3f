// In which number formats a forward pass computes.
#pragma once

#include "core/names.h"
#include "tensor/torch.h"

namespace attnlab {

enum class Precision {
  float32,
  bf16_mixed,  // float32 weights; matrix products and attention in bfloat16 (autocast)
  bf16,        // weights, gradients and AdamW's moments in bfloat16; sums of losses in float32
};
template <>
struct EnumNames<Precision> {
  static constexpr std::array<std::pair<std::string_view, Precision>, 3> rows{
      {{"float32", Precision::float32}, {"bf16_mixed", Precision::bf16_mixed}, {"bf16", Precision::bf16}}};
};

// What weights are kept in.
// Bytes of a number of the caches while computing so.
inline int64_t computed_bytes(Precision precision) { return precision == Precision::float32 ? 4 : 2; }
inline torch::ScalarType weight_type(Precision precision) {
  return precision == Precision::bf16 ? torch::kBFloat16 : torch::kFloat32;
}

// Forward passes inside the scope compute in this precision on this kind of device.
class PrecisionScope {
 public:
  PrecisionScope(Precision precision, torch::Device device);
  ~PrecisionScope();
  PrecisionScope(const PrecisionScope&) = delete;
  PrecisionScope& operator=(const PrecisionScope&) = delete;

 private:
  torch::DeviceType device_;
  bool enabled_before_;
  at::ScalarType dtype_before_;
};

}  // namespace attnlab
