// Ranks that follow from what a form may keep.
#pragma once

#include <cstdint>
#include <optional>

#include "attention/variant_config.h"

namespace attnlab {

// Chooses the ranks of `config` such that a layer keeps at most `numbers` of a token and as many of these as
// the form can use; options that are no rank stay as they are. Returns why not, if so: the key "cache" where
// the form has one size that is larger, or can't be so small with these options; a rank's key where it was
// given, too.
std::optional<BadInput> fit_to_cache(VariantConfig& config, const AttentionShape& shape, int64_t numbers);

// Numbers that this share of `whole` numbers is, rounded down.
int64_t numbers_at(double share, int64_t whole);

// Numbers of a token that a layer of this variant keeps.
int64_t variant_cache(const AttentionShape& shape, const VariantConfig& config);

}  // namespace attnlab
