#include "quantize/packed_checks.h"

#include <fmt/format.h>

namespace attnlab {
namespace {

std::optional<BadInput> group_problem(const torch::Tensor& g_idx, int64_t groups,
                                      const MatrixPacking& packing) {
  const auto group_I = g_idx.to(torch::kCPU, torch::kInt64);
  const int64_t in = group_I.size(0), columns = columns_of_group(packing.group_size, in);
  const auto bad = [&](int64_t at, const std::string& expected) {
    return BadInput{.key = "g_idx",
                    .found = fmt::format("group {} for input {}", group_I[at].item<int64_t>(), at),
                    .expected = expected};
  };
  const auto outside = (group_I < 0) | (group_I >= groups);
  if (outside.any().item<bool>())
    return bad(outside.to(torch::kInt64).argmax().item<int64_t>(), fmt::format("groups 0 to {}", groups - 1));
  const auto other = group_I != torch::arange(in, torch::kInt64).floor_divide(columns);
  if (!packing.desc_act && other.any().item<bool>())
    return bad(other.to(torch::kInt64).argmax().item<int64_t>(),
               fmt::format("groups of {} inputs in order, as desc_act is false", columns));
  const auto counts = torch::bincount(group_I, {}, groups);
  if (const int64_t most = counts.max().item<int64_t>(); most > columns)
    return BadInput{.key = "g_idx",
                    .found = fmt::format("{} inputs in group {}", most, counts.argmax().item<int64_t>()),
                    .expected = fmt::format("at most {}, the group_size", columns)};
  return std::nullopt;
}

}  // namespace

std::optional<BadInput> packed_problem(const PackedMatrix& packed, const MatrixPacking& packing) {
  if (auto problem = group_problem(packed.g_idx, packed.scales.size(0), packing)) return problem;
  if (!packed.scales.isfinite().all().item<bool>())
    return BadInput{.key = "scales", .found = "a number that is not finite", .expected = "finite numbers"};
  if (!packing.sym) return std::nullopt;
  const int64_t middle = int64_t{1} << (packing.bits - 1);
  const auto zeros = packed_zeros(packed, packing);
  if ((zeros == middle).all().item<bool>()) return std::nullopt;
  const auto found = zeros.masked_select(zeros != middle)[0].item<int64_t>();
  const bool is_next = found == middle + 1 && packing.format == PackedFormat::gptq;
  return BadInput{.key = "qzeros",
                  .found = fmt::format("a zero point of {}", found),
                  .expected = fmt::format("{}, as sym is true{}", middle,
                                          is_next ? " (zero points of checkpoint_format gptq_v2?)" : "")};
}

bool has_ambiguous_zeros(const PackedMatrix& packed, const MatrixPacking& packing) {
  return packing.format == PackedFormat::gptq && (packed_zeros(packed, packing) == 0).any().item<bool>();
}

}  // namespace attnlab
