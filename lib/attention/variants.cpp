#include "attention/variants.h"

#include "attention/gqa_weights.h"
#include "attention/mixer.h"

namespace attnlab {
namespace {

// Calls `action.template operator()<Row>(config)` for the row whose config the variant holds.
template <class Action, size_t I = 0>
auto with_row(const VariantConfig& config, const Action& action) {
  using Row = std::tuple_element_t<I, VariantTable>;
  if constexpr (I + 1 < std::tuple_size_v<VariantTable>) {
    if (config.index() != I) return with_row<Action, I + 1>(config, action);
  }
  return action.template operator()<Row>(std::get<I>(config.held().options));
}

template <class... Rows>
std::vector<VariantConfig> defaults_of(std::type_identity<std::tuple<Rows...>>) {
  return {VariantConfig(typename Rows::Config{})...};
}

std::vector<VariantConfig> all_defaults() { return defaults_of(std::type_identity<VariantTable>()); }

// The alternative that these options are of; empty: of none.
template <class... Configs>
auto choose(const std::any& options, std::type_identity<std::variant<Configs...>>) {
  std::optional<std::variant<Configs...>> chosen;
  const auto try_one = [&]<class Config>(std::type_identity<Config>) {
    if (const auto* held = std::any_cast<Config>(&options)) chosen = *held;
  };
  (try_one(std::type_identity<Configs>()), ...);
  return chosen;
}

}  // namespace

VariantConfig::VariantConfig() : VariantConfig(std::tuple_element_t<0, VariantTable>::Config{}) {}

VariantConfig::VariantConfig(const OfRow& of_row) {
  auto chosen = choose(of_row.options, std::type_identity<decltype(Held::options)>());
  ATTNLAB_CHECK(chosen.has_value());
  held_ = std::make_shared<const Held>(std::move(*chosen));
}

size_t VariantConfig::index() const { return held_->options.index(); }

const void* VariantConfig::held_as(const std::type_info& type) const {
  const auto found = [&]<class Config>(const Config& options) -> const void* {
    return type == typeid(Config) ? &options : nullptr;
  };
  return std::visit(found, held_->options);
}

bool VariantConfig::operator==(const VariantConfig& other) const {
  return index() == other.index() && variant_fields(*this) == variant_fields(other);
}

// For flatten, wherever it meets one.
template void VariantConfig::fields(const VariantConfig&, detail::Flatten&&);

std::string variant_name(const VariantConfig& config) {
  return with_row(config, []<class Row>(const typename Row::Config&) { return std::string(Row::kName); });
}

std::vector<std::string> variant_names() {
  std::vector<std::string> names;
  for (const auto& config : all_defaults()) names.push_back(variant_name(config));
  return names;
}

std::vector<std::string> variant_names_for(const AttentionShape& shape) {
  std::vector<std::string> names;
  for (const auto& config : all_defaults())
    if (!variant_problem(shape, config)) names.push_back(variant_name(config));
  return names;
}

std::optional<VariantConfig> variant_defaults(const std::string& name) {
  for (const auto& config : all_defaults())
    if (variant_name(config) == name) return config;
  return std::nullopt;
}

std::optional<BadInput> variant_problem(const AttentionShape& shape, const VariantConfig& config) {
  return with_row(config, [&]<class Row>(const typename Row::Config& row) { return Row::problem(shape, row); });
}

int64_t variant_turning_dim(const AttentionShape& shape, const VariantConfig& config,
                            int64_t base_turning_dim) {
  return with_row(config, [&]<class Row>(const typename Row::Config& row) -> int64_t {
    if constexpr (requires { Row::turning_dim(shape, row, base_turning_dim); })
      return Row::turning_dim(shape, row, base_turning_dim);
    else
      return base_turning_dim;
  });
}

std::vector<int64_t> variant_kv_layers(const AttentionShape& shape, const VariantConfig& config) {
  return with_row(config, [&]<class Row>(const typename Row::Config& row) -> std::vector<int64_t> {
    if constexpr (requires { Row::kv_layers(shape, row); })
      return Row::kv_layers(shape, row);
    else
      return {shape.layer};
  });
}

bool variant_has_options(const VariantConfig& config) {
  bool some = false;
  VariantConfig::fields(config, [&](const Key&, const auto&) { some = true; });
  return some;
}

void take_option(VariantConfig& into, const VariantConfig& from, const std::string& key) {
  ATTNLAB_CHECK(into.index() == from.index());
  std::any value;
  VariantConfig::fields(from, [&](const Key& info, const auto& field) {
    if (info.name == key) value = field;
  });
  VariantConfig::fields(into, [&](const Key& info, auto& field) {
    if (info.name == key) field = std::any_cast<std::decay_t<decltype(field)>>(value);
  });
}

FlatFields variant_fields(const VariantConfig& config) { return flatten(config); }

MadeBy variant_made_by(const VariantConfig& config) {
  return with_row(config, []<class Row>(const typename Row::Config&) { return Row::kMadeBy; });
}

bool variant_is_exact(const AttentionShape& shape, const VariantConfig& config) {
  return with_row(config,
                  [&]<class Row>(const typename Row::Config& row) { return Row::is_exact(shape, row); });
}

int64_t variant_rank(const AttentionShape& shape, const VariantConfig& config) {
  return with_row(config,
                  [&]<class Row>(const typename Row::Config& row) { return Row::latent_rank(shape, row); });
}

std::optional<VariantConfig> variant_with_cache(const std::string& name, const AttentionShape& shape,
                                                int64_t numbers) {
  const auto defaults = variant_defaults(name);
  if (!defaults) return std::nullopt;
  return with_row(*defaults, [&]<class Row>(const typename Row::Config&) -> std::optional<VariantConfig> {
    const auto config = Row::with_cache(shape, numbers);
    if (!config) return std::nullopt;
    return VariantConfig(*config);
  });
}

std::shared_ptr<Mixer> make_mixer(const AttentionShape& shape, const VariantConfig& config) {
  return with_row(config, [&]<class Row>(const typename Row::Config& row) { return Row::make(shape, row); });
}

TensorMap convert_from_gqa(const AttentionShape& shape, const VariantConfig& config, const GqaWeights& gqa) {
  const torch::NoGradGuard no_grad;
  return with_row(config,
                  [&]<class Row>(const typename Row::Config& row) { return Row::from_gqa(shape, row, gqa); });
}

}  // namespace attnlab
