#include "model/decoder_form.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "checkpoint/json.h"
#include "config/document.h"
#include "core/errors.h"
#include "model/decoder.h"
#include "model/families/families.h"

namespace attnlab {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

template <class T>
ordered_json json_of(const T& value);

// Visits a struct's fields, adding each to a map; absent optionals are left out.
struct FieldsToJson {
  ordered_json& out;

  template <class T>
  void operator()(const Key& key, const T& value) const {
    if constexpr (OptionalField<T>) {
      if (value) (*this)(key, *value);
    } else {
      out[std::string(key.name)] = json_of(value);
    }
  }
};

template <class T>
ordered_json json_of(const T& value) {
  if constexpr (HasFields<T>) {
    ordered_json out = ordered_json::object();
    T::fields(value, FieldsToJson{out});
    return out;
  } else if constexpr (NamedEnum<T>) {
    return std::string(name_of(value));
  } else if constexpr (VectorField<T>) {
    ordered_json out = ordered_json::array();
    for (const auto& item : value) out.push_back(json_of(item));
    return out;
  } else {
    return value;
  }
}

// A value in an error: JSON on one line, cut where it is long.
std::string shown(const json& value) {
  return printable(value.dump(-1, ' ', false, json::error_handler_t::replace));
}

// Keys of the own layout that must be there.
const json& member(const json& config, const std::filesystem::path& file, const char* key, json::value_t type,
                   const char* expected) {
  const auto found = config.find(key);
  if (found != config.end() && found->type() == type) return *found;
  throw InputError(BadInput{.file = file.string(),
                            .key = key,
                            .found = found == config.end() ? "nothing" : shown(*found),
                            .expected = expected});
}

DecoderConfig read_base(const json& config, const std::filesystem::path& file) {
  const json& base = member(config, file, "base", json::value_t::object, "a map: the config.json of the base");
  try {
    return read_decoder_config(base, file);
  } catch (const InputError& error) {
    BadInput problem = error.problem();
    problem.key = "base." + problem.key;
    throw InputError(problem);
  }
}

VariantConfig read_name(const json& config, const std::filesystem::path& file) {
  const auto& name = member(config, file, "variant", json::value_t::string, "the name of an attention variant")
                         .get_ref<const std::string&>();
  if (auto variant = variant_defaults(name)) return *variant;
  throw InputError(BadInput{.file = file.string(),
                            .key = "variant",
                            .found = "'" + printable(name) + "'",
                            .expected = "one of " + join(variant_names()),
                            .nearest = nearest_printable(name, variant_names())});
}

// JSON is YAML: the options are read as those of an arm are. Lines of the text that is made here mean nothing.
void read_options(const json& config, const std::filesystem::path& file, VariantConfig& variant) {
  const json& options =
      member(config, file, "options", json::value_t::object, "a map: the options of the variant");
  try {
    const Node node = parse_yaml(options.dump(-1, ' ', false, json::error_handler_t::replace), file.string());
    variant = with_options(variant, node, "options");
  } catch (const InputError& error) {
    BadInput problem = error.problem();
    problem.line = 0;
    problem.key = printable(problem.key);
    throw InputError(problem);
  }
}

// The base's own variant has one layout only, the family's: names of tensors depend on it.
void check_form(const DecoderForm& form, const std::filesystem::path& file) {
  auto problem = variant_problem(form.config.attention_shape(), form.variant);
  if (problem) {
    if (problem->key != "variant") problem->key = "options." + problem->key;
  } else if (is_native(form)) {
    problem = BadInput{.key = "variant",
                       .found = variant_name(form.variant),
                       .expected = fmt::format("another variant than the base's own: that one's layout is the "
                                               "one of model_type {}",
                                               name_of(form.config.family))};
  }
  if (!problem) return;
  problem->file = file.string();
  throw InputError(*problem);
}

}  // namespace

bool is_native(const DecoderForm& form) { return form.variant.index() == native_variant(form.config).index(); }

VariantConfig with_options(VariantConfig variant, const Node& options, const std::string& key) {
  std::visit([&]<class T>(T& held) { held = read_config<T>(options, key); }, variant);
  return variant;
}

DecoderForm read_decoder_form(const json& config, const std::filesystem::path& file) {
  if (const auto type = config.find("model_type"); type == config.end() || *type != kOwnModelType) {
    const DecoderConfig own = read_decoder_config(config, file);
    return {own, native_variant(own)};
  }
  DecoderForm form{.variant = read_name(config, file)};
  form.config = read_base(config, file);
  read_options(config, file, form.variant);
  check_form(form, file);
  return form;
}

ordered_json write_decoder_form(const DecoderForm& form, const std::string& dtype) {
  ordered_json base = write_decoder_config(form.config, dtype);
  if (is_native(form)) return base;
  return {{"model_type", kOwnModelType},
          {"architectures", {"AttnlabForCausalLM"}},
          {"variant", variant_name(form.variant)},
          {"options", std::visit([](const auto& options) { return json_of(options); }, form.variant)},
          {"base", std::move(base)},
          {"torch_dtype", dtype}};
}

}  // namespace attnlab
