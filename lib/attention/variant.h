// What a row of the variant table (variants.h) is, without torch: configs, plans and files of results read it.
//
// A variant V has
//   V::kName                            its name in YAML, files and figures
//   V::kMadeBy                          which transform makes it of a GQA base
//   V::Config                           its options, with a field visitor (core/fields.h)
//   V::problem(shape, config)           why it can't be built with this shape, if so
//   V::is_exact(shape, config)          whether its start computes what GQA computes, up to rounding
//   V::latent_rank(shape, config)       the rank that the options leave, counted as they count it; 0: no rank
//   V::with_cache(shape, numbers)       the defaults with as many cached numbers per token as fit into
//   `numbers`;
//                                       nullopt: the form has one size, or that is too few
//   V::make(shape, config)              the module, its weights uninitialised
//   V::from_gqa(shape, config, weights) its tensors, by the module's parameter names
// and, if its keys and values start as the mean of those of several layers, V::kv_layers(shape, config);
// and, if it reads rotary tables of another width than the base's, V::turning_dim(shape, config, base's). One
// that is missing does not compile.
#pragma once

#include <concepts>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "attention/shape.h"
#include "core/errors.h"
#include "core/fields.h"

namespace at {
class Tensor;
}

namespace attnlab {

class Mixer;
struct GqaWeights;
using TensorMap = std::map<std::string, at::Tensor>;

// Who makes a variant of a GQA base (convert/transforms.cpp). `weights` asks from_gqa, layer by layer; the
// others look at what calibration text does.
enum class MadeBy {
  nothing,  // it is no conversion of GQA: a base has it or not
  base,     // it is GQA
  weights,
  deepseek,  // convert/deepseek_transform.cpp
  mha2mla,   // convert/mha2mla_transform.cpp
  care,      // convert/care_transform.cpp
  moments,   // convert/moments_transform.cpp
};

template <class V>
concept Variant = requires(const AttentionShape& shape, const typename V::Config& config,
                           const GqaWeights& gqa) {
  { V::kName } -> std::convertible_to<std::string_view>;
  { V::kMadeBy } -> std::convertible_to<MadeBy>;
  requires HasFields<typename V::Config>;
  { V::problem(shape, config) } -> std::same_as<std::optional<BadInput>>;
  { V::is_exact(shape, config) } -> std::same_as<bool>;
  { V::latent_rank(shape, config) } -> std::same_as<int64_t>;
  { V::with_cache(shape, int64_t{}) } -> std::same_as<std::optional<typename V::Config>>;
  { V::make(shape, config) } -> std::same_as<std::shared_ptr<Mixer>>;
  V::from_gqa(shape, config, gqa);
};

// What variants that are made from GQA say to a base whose attention is MLA already.
std::optional<BadInput> mla_base_problem(const AttentionShape& shape);
// What those say that remove rotary position from a part of the keys: beside such a base, one with norms of
// query and key heads, partial rotary or longrope.
std::optional<BadInput> rope_removal_problem(const AttentionShape& shape);

}  // namespace attnlab
