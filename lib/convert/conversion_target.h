// What a conversion makes: a variant of attention, or matrices in another form whatever the mixers are.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <variant>

#include "attention/variant_config.h"
#include "config/node.h"
#include "convert/slice_options.h"
#include "quantize/quantize_options.h"

namespace attnlab {

using ConversionTarget = std::variant<VariantConfig, GptqOptions, RtnOptions, SliceOptions>;

// "mla_deepseek", "gptq".
std::string target_name(const ConversionTarget& target);
// At its defaults; nullopt for an unknown name.
std::optional<ConversionTarget> target_defaults(const std::string& name);
// With the options that a map gives it. Throws InputError as with_options does.
ConversionTarget target_with_options(ConversionTarget target, const Node& options);
FlatFields target_fields(const ConversionTarget& target);
// The names of those that are no variants.
std::vector<std::string> matrix_target_names();

}  // namespace attnlab
