// The options of a variant from YAML. Without torch.
#pragma once

#include <string>

#include "attention/variant_config.h"
#include "config/node.h"

namespace attnlab {

// The variant with the options that a map gives it (null: none); keys in errors come after "KEY.", if a key is
// given. Throws InputError.
VariantConfig with_options(const VariantConfig& variant, const Node& options, const std::string& key = "");

}  // namespace attnlab
