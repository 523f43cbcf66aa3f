// The options of one variant, whichever it is, and what everybody asks of them. No variant's header is read
// here: who names a variant includes its header, who visits all of them the table (variants.h). Without torch.
#pragma once

#include <any>
#include <concepts>
#include <memory>
#include <optional>
#include <string>
#include <typeinfo>
#include <utility>
#include <vector>

#include "attention/variant.h"
#include "core/errors.h"
#include "core/fields.h"

namespace attnlab {

class VariantConfig;
template <class T>
concept VariantOptions = !std::same_as<T, VariantConfig> && HasFields<T>;

// A value: copies are equal, and changing one leaves the others.
class VariantConfig {
 public:
  // The table's first row, gqa, which has no options.
  VariantConfig();
  // The Config of a row of the table.
  template <VariantOptions Options>
  VariantConfig(Options options) : VariantConfig(OfRow{std::move(options)}) {}
  // Not moved from: there is no empty one.
  VariantConfig(const VariantConfig&) = default;
  VariantConfig& operator=(const VariantConfig&) = default;

  // Which row of the table it is.
  size_t index() const;
  template <Variant Row>
  bool is() const {
    return get_if<Row>() != nullptr;
  }
  // The options of this row; nullptr: it is of another one.
  template <Variant Row>
  const typename Row::Config* get_if() const {
    return static_cast<const typename Row::Config*>(held_as(typeid(typename Row::Config)));
  }
  // The same where it must be of this row.
  template <Variant Row>
  const typename Row::Config& get() const {
    const auto* options = get_if<Row>();
    ATTNLAB_CHECK(options != nullptr);
    return *options;
  }

  // What is held: known to those who include variants.h.
  struct Held;
  const Held& held() const { return *held_; }
  // The same row and the same options.
  bool operator==(const VariantConfig& other) const;

  // The field visitor of the options that are held (core/fields.h), defined in variants.h. For flatten it is
  // made in variants.cpp, for the visitors of `config` in model/variant_options.cpp: structs that hold options
  // need no table. Who visits otherwise includes it.
  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit);

 private:
  struct OfRow {
    std::any options;
  };
  explicit VariantConfig(const OfRow& of_row);
  const void* held_as(const std::type_info& type) const;

  std::shared_ptr<const Held> held_;
};

// Names in the table's order.
std::vector<std::string> variant_names();
// Those that a base of this shape can be given, at their defaults.
std::vector<std::string> variant_names_for(const AttentionShape& shape);
std::string variant_name(const VariantConfig& config);
// The variant's options at their defaults; nullopt for an unknown name.
std::optional<VariantConfig> variant_defaults(const std::string& name);
// Why this variant can't be built with this shape, if so (key and range; the caller adds file and line).
std::optional<BadInput> variant_problem(const AttentionShape& shape, const VariantConfig& config);
// How wide the rotary tables are that the variant reads, where the base's would be `base_turning_dim`.
int64_t variant_turning_dim(const AttentionShape& shape, const VariantConfig& config, int64_t base_turning_dim);
// The layers of the base whose keys and values, on average, convert_from_gqa is to be given for this one.
std::vector<int64_t> variant_kv_layers(const AttentionShape& shape, const VariantConfig& config);
bool variant_has_options(const VariantConfig& config);
// Its options by their keys (core/fields.h).
FlatFields variant_fields(const VariantConfig& config);
// Takes the option with this key from options of the same row.
void take_option(VariantConfig& into, const VariantConfig& from, const std::string& key);
// The facts that every row states (variant.h).
MadeBy variant_made_by(const VariantConfig& config);
bool variant_is_exact(const AttentionShape& shape, const VariantConfig& config);
int64_t variant_rank(const AttentionShape& shape, const VariantConfig& config);
// The named variant's defaults with a cache of at most `numbers` per token; nullopt: it has no such choice.
std::optional<VariantConfig> variant_with_cache(const std::string& name, const AttentionShape& shape,
                                                int64_t numbers);
// A module with uninitialised weights. `variant_problem` must have been empty.
std::shared_ptr<Mixer> make_mixer(const AttentionShape& shape, const VariantConfig& config);
// The variant's tensors, by its parameter names, that compute what the GQA weights compute (exactly or, with
// rank truncation, as nearly as the rank allows). Same dtype and device as the input; algebra in double.
TensorMap convert_from_gqa(const AttentionShape& shape, const VariantConfig& config, const GqaWeights& gqa);

}  // namespace attnlab
