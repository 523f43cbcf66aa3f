#include "model/variant_options.h"

#include "attention/variants.h"
#include "config/document.h"
#include "config/reference.h"

namespace attnlab {

// The visitors of `config`, for whatever struct has a variant's options in it: they are made here alone.
template void VariantConfig::fields(VariantConfig&, detail::Reader&&);
template void VariantConfig::fields(const VariantConfig&, detail::Describe&&);

VariantConfig with_options(const VariantConfig& variant, const Node& options, const std::string& key) {
  VariantConfig read = *variant_defaults(variant_name(variant));
  detail::read_struct(options, key, read);
  return read;
}

}  // namespace attnlab
