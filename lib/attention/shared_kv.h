// Grouped-query attention in which some layers have no keys and values of their own, but read those of a layer
// before them in the same pass, with their own queries.
#pragma once

#include "attention/variant.h"

namespace attnlab {

// What makes keys and values of a group of layers at the start.
enum class SharedStart {
  mean,   // the mean of what the base's layers have
  first,  // what the first of them has
};
template <>
struct EnumNames<SharedStart> {
  static constexpr std::array<std::pair<std::string_view, SharedStart>, 2> rows{
      {{"mean", SharedStart::mean}, {"first", SharedStart::first}}};
};

// Keys and values of layer `owner`, which is the layer itself where it has its own.
std::shared_ptr<Mixer> make_shared_kv(const AttentionShape& shape, int64_t owner);
// Its tensors; keys and values where it has its own.
TensorMap shared_kv_from_gqa(const AttentionShape& shape, int64_t owner, const GqaWeights& gqa);
// Why a base can't share keys and values over layers, if so: it is MLA, or has windows, which may differ.
std::optional<BadInput> shared_kv_problem(const AttentionShape& shape);

}  // namespace attnlab
