#include "train/buckets.h"

namespace attnlab {
namespace {

// Numbers between the beginnings of parameters, and of slices: kernels read them in blocks.
constexpr int64_t kAlignment = 64;

int64_t aligned(int64_t numbers, int64_t to) { return (numbers + to - 1) / to * to; }

}  // namespace

torch::ScalarType sum_type(const torch::Tensor& parameter) {
  return parameter.scalar_type() == torch::kFloat64 ? torch::kFloat64 : torch::kFloat32;
}

std::vector<BucketLayout> lay_out(const std::vector<torch::Tensor>& parameters, int64_t ranks,
                                  int64_t bucket_bytes) {
  std::vector<BucketLayout> buckets;
  for (size_t i = parameters.size(); i-- > 0;) {
    const auto& parameter = parameters[i];
    const int64_t most = bucket_bytes / static_cast<int64_t>(c10::elementSize(sum_type(parameter)));
    const bool fits = !buckets.empty() && buckets.back().numbers + parameter.numel() <= most &&
                      parameters[buckets.back().parameters[0]].scalar_type() == parameter.scalar_type();
    if (!fits) buckets.emplace_back();
    BucketLayout& bucket = buckets.back();
    bucket.parameters.push_back(i);
    bucket.begins.push_back(bucket.numbers);
    bucket.numbers += aligned(parameter.numel(), kAlignment);
  }
  for (auto& bucket : buckets) bucket.numbers = aligned(bucket.numbers, kAlignment * ranks);
  return buckets;
}

}  // namespace attnlab
