#include "model/model_form.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "attention/deepseek_mla.h"
#include "attention/gqa.h"
#include "attention/native_recurrence.h"
#include "config/node.h"
#include "core/errors.h"
#include "core/json.h"
#include "core/numbers.h"
#include "model/families/families.h"
#include "model/variant_options.h"

namespace attnlab {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

// Sets "a.b" in a map of maps.
void set_nested(ordered_json& map, const std::string& key, ordered_json value) {
  const size_t dot = key.find('.');
  if (dot == std::string::npos)
    map[key] = std::move(value);
  else
    set_nested(map[key.substr(0, dot)], key.substr(dot + 1), std::move(value));
}

ordered_json options_json(const VariantConfig& variant) {
  ordered_json out = ordered_json::object();
  for (const auto& [key, value] : variant_fields(variant))
    set_nested(out, key, std::visit([](const auto& held) { return ordered_json(held); }, value));
  return out;
}

// A value in an error: JSON on one line, cut where it is long.
std::string shown(const json& value) {
  return printable(value.dump(-1, ' ', false, json::error_handler_t::replace));
}

// Keys of the own layout that must be there.
const json& member(const json& config, const std::filesystem::path& file, const char* key, json::value_t type,
                   const char* expected, const std::string& at = "") {
  const auto found = config.find(key);
  if (found != config.end() && found->type() == type) return *found;
  throw InputError(BadInput{.file = file.string(),
                            .key = at + key,
                            .found = found == config.end() ? "nothing" : shown(*found),
                            .expected = expected});
}

DecoderConfig read_base(const json& config, const std::filesystem::path& file,
                        std::vector<std::string>* notes) {
  const json base = member(config, file, "base", json::value_t::object, "a map: the config.json of the base");
  try {
    return read_decoder_config(base, file, notes);
  } catch (const InputError& error) {
    BadInput problem = error.problem();
    problem.key = "base." + problem.key;
    throw InputError(problem);
  }
}

// `at`: where in the file the map stands that names a variant, "" or "layers[1].".
VariantConfig read_name(const json& map, const std::filesystem::path& file, const std::string& at) {
  const auto& name = member(map, file, "variant", json::value_t::string, "the name of an attention variant", at)
                         .get_ref<const std::string&>();
  if (auto variant = variant_defaults(name)) return *variant;
  throw InputError(BadInput{.file = file.string(),
                            .key = at + "variant",
                            .found = "'" + printable(name) + "'",
                            .expected = one_of(variant_names(), name),
                            .nearest = nearest_printable(name, variant_names())});
}

// JSON is YAML: the options are read as those of an arm are. Lines of the text that is made here mean nothing.
VariantConfig read_variant(const json& map, const std::filesystem::path& file, const std::string& at) {
  const VariantConfig variant = read_name(map, file, at);
  const json& options =
      member(map, file, "options", json::value_t::object, "a map: the options of the variant", at);
  try {
    const Node node = parse_yaml(options.dump(-1, ' ', false, json::error_handler_t::replace), file.string());
    return with_options(variant, node, at + "options");
  } catch (const InputError& error) {
    BadInput problem = error.problem();
    problem.line = 0;
    problem.key = printable(problem.key);
    throw InputError(problem);
  }
}

[[noreturn]] void refuse_layers(const std::filesystem::path& file, const std::string& key, std::string found,
                                std::string expected) {
  throw InputError(
      BadInput{.file = file.string(), .key = key, .found = std::move(found), .expected = std::move(expected)});
}

// A form holds something for each layer; the number comes from a file that may be hostile.
DecoderConfig countable(DecoderConfig config, const std::filesystem::path& file) {
  constexpr int64_t most = 100000;
  if (config.n_layers > most)
    refuse_layers(file, "num_hidden_layers", fmt::format("{}", config.n_layers),
                  fmt::format("at most {}", most));
  return config;
}

// "layers": each of the base's layers once.
std::vector<VariantConfig> read_layers(const json& list, const DecoderConfig& base,
                                       const std::filesystem::path& file) {
  std::vector<std::optional<VariantConfig>> found(static_cast<size_t>(base.n_layers));
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string at = fmt::format("layers[{}].", i);
    if (!list[i].is_object()) refuse_layers(file, fmt::format("layers[{}]", i), shown(list[i]), "a map");
    const auto& text = member(list[i], file, "of", json::value_t::string, "layers, as \"0-3,6\"", at)
                           .get_ref<const std::string&>();
    const auto numbers = parse_layers(text);
    if (!numbers) refuse_layers(file, at + "of", "'" + printable(text) + "'", "layers, as \"0-3,6\"");
    const VariantConfig variant = read_variant(list[i], file, at);
    for (const int64_t layer : *numbers) {
      if (layer >= base.n_layers)
        refuse_layers(file, at + "of", fmt::format("layer {}", layer),
                      fmt::format("0 to {}", base.n_layers - 1));
      if (found[static_cast<size_t>(layer)])
        refuse_layers(file, at + "of", fmt::format("layer {} again", layer), "each layer once");
      found[static_cast<size_t>(layer)] = variant;
    }
  }
  std::vector<VariantConfig> layers;
  for (size_t i = 0; i < found.size(); ++i) {
    if (!found[i]) refuse_layers(file, "layers", fmt::format("no variant for layer {}", i), "each layer once");
    layers.push_back(*found[i]);
  }
  return layers;
}

// The base's own variant has one layout only, the family's: names of tensors depend on it.
void check_form(const ModelForm& form, const std::filesystem::path& file) {
  std::optional<BadInput> problem;
  for (int64_t i = 0; i < form.config.n_layers && !problem; ++i) {
    problem = variant_problem(form.attention_shape(i), form.of(i));
    if (problem && problem->key != "variant") problem->key = "options." + problem->key;
    if (problem && !is_uniform(form)) problem->key = fmt::format("layer {}: {}", i, problem->key);
  }
  if (!problem && is_native(form))
    problem = BadInput{.key = "variant",
                       .found = form_name(form),
                       .expected = fmt::format("another variant than the base's own: that one's layout is the "
                                               "one of model_type {}",
                                               name_of(form.config.family))};
  if (!problem) return;
  problem->file = file.string();
  throw InputError(*problem);
}

// Whole numbers of up to six digits.
std::optional<int64_t> parse_layer(std::string_view text) {
  if (text.size() > 6) return std::nullopt;
  return parse_number<uint32_t>(text);
}

}  // namespace

VariantConfig native_variant(const DecoderConfig& config) {
  if (config.mla) return DeepseekMla::Config{};
  if (config.recurrent) return NativeRecurrence::Config{};
  return Gqa::Config{};
}

ModelForm native_form(const DecoderConfig& config) { return {config, native_variant(config)}; }

bool is_native(const ModelForm& form) {
  if (form.sliced) return false;
  const size_t own = native_variant(form.config).index();
  return std::all_of(form.layers.begin(), form.layers.end(), [&](const auto& v) { return v.index() == own; });
}

bool is_uniform(const ModelForm& form) {
  return std::all_of(form.layers.begin(), form.layers.end(),
                     [&](const auto& variant) { return variant == form.layers.front(); });
}

std::string form_name(const ModelForm& form) {
  std::vector<std::string> names;
  for (const auto& variant : form.layers)
    if (const auto name = variant_name(variant); std::find(names.begin(), names.end(), name) == names.end())
      names.push_back(name);
  return fmt::format("{}", fmt::join(names, " + "));
}

std::optional<std::vector<int64_t>> parse_layers(const std::string& text) {
  std::vector<int64_t> layers;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string part = text.substr(begin, end - begin);
    const size_t colon = std::min(part.find(':'), part.size()), dash = part.find('-');
    const auto first = parse_layer(std::string_view(part).substr(0, std::min(dash, colon)));
    const auto last =
        dash < colon ? parse_layer(std::string_view(part).substr(dash + 1, colon - dash - 1)) : first;
    const auto step = colon < part.size() ? parse_layer(std::string_view(part).substr(colon + 1)) : 1;
    if (!first || !last || !step || *step < 1 || *last < *first) return std::nullopt;
    for (int64_t layer = *first; layer <= *last; layer += *step) layers.push_back(layer);
    begin = end + 1;
  }
  return layers;
}

std::string layers_text(const std::vector<int64_t>& layers) {
  std::string text;
  for (size_t i = 0; i < layers.size();) {
    size_t last = i;
    while (last + 1 < layers.size() && layers[last + 1] == layers[last] + 1) ++last;
    if (!text.empty()) text += ",";
    text += last > i ? fmt::format("{}-{}", layers[i], layers[last]) : fmt::format("{}", layers[i]);
    i = last + 1;
  }
  return text;
}

std::vector<LayerGroup> layer_groups(const ModelForm& form) {
  std::vector<LayerGroup> groups;
  for (size_t i = 0; i < form.layers.size(); ++i) {
    auto found = std::find_if(groups.begin(), groups.end(),
                              [&](const auto& group) { return group.variant == form.layers[i]; });
    if (found == groups.end()) found = groups.insert(groups.end(), {{}, form.layers[i]});
    found->layers.push_back(static_cast<int64_t>(i));
  }
  return groups;
}

namespace {

SlicedStream read_sliced(const json& map, const DecoderConfig& base, const std::filesystem::path& file) {
  if (!map.is_object()) refuse_layers(file, "sliced", shown(map), "a map");
  const auto width = map.find("width");
  if (width == map.end() || !width->is_number_integer())
    refuse_layers(file, "sliced.width", width == map.end() ? "nothing" : shown(*width), "a whole number");
  const bool head = member(map, file, "head", json::value_t::boolean, "true or false", "sliced.").get<bool>();
  const auto numbers = width->get<int64_t>();
  if (numbers < 1 || numbers > base.d_model)
    refuse_layers(file, "sliced.width", fmt::format("{}", numbers), fmt::format("1 to {}", base.d_model));
  return {.width = numbers, .head = head};
}

// The form whose matrices are whole.
ModelForm read_whole_form(const json& config, const std::filesystem::path& file,
                          std::vector<std::string>* notes) {
  if (const auto type = config.find("model_type"); type == config.end() || *type != kOwnModelType)
    return native_form(countable(read_decoder_config(config, file, notes), file));
  ModelForm form;
  if (const auto layers = config.find("layers"); layers != config.end()) {
    if (!layers->is_array() || config.contains("variant"))
      refuse_layers(file, "layers", layers->is_array() ? "a list beside \"variant\"" : shown(*layers),
                    "a list of maps, in place of \"variant\" and \"options\"");
    const DecoderConfig base = countable(read_base(config, file, notes), file);
    form = {base, read_layers(*layers, base, file)};
  } else {
    read_name(config, file, "");
    const DecoderConfig base = countable(read_base(config, file, notes), file);
    form = {base, read_variant(config, file, "")};
  }
  if (const auto sliced = config.find("sliced"); sliced != config.end())
    form.sliced = read_sliced(*sliced, form.config, file);
  check_form(form, file);
  return form;
}

ordered_json write_whole_form(const ModelForm& form, const std::string& dtype) {
  ordered_json base = write_decoder_config(form.config, dtype);
  if (is_native(form)) return base;
  ordered_json out{{"model_type", kOwnModelType}, {"architectures", {"AttnlabForCausalLM"}}};
  if (is_uniform(form)) {
    out["variant"] = variant_name(form.layers.front());
    out["options"] = options_json(form.layers.front());
  } else {
    out["layers"] = ordered_json::array();
    for (const auto& group : layer_groups(form))
      out["layers"].push_back({{"of", layers_text(group.layers)},
                               {"variant", variant_name(group.variant)},
                               {"options", options_json(group.variant)}});
  }
  if (form.sliced) out["sliced"] = {{"width", form.sliced->width}, {"head", form.sliced->head}};
  out["base"] = std::move(base);
  out["torch_dtype"] = dtype;
  return out;
}

constexpr const char* kPacking = "quantization_config";

}  // namespace

ModelForm read_model_form(const json& config, const std::filesystem::path& file,
                          std::vector<std::string>* notes) {
  const auto packing = config.find(kPacking);
  if (packing == config.end() || packing->is_null()) return read_whole_form(config, file, notes);
  json whole = config;
  whole.erase(kPacking);
  ModelForm form = read_whole_form(whole, file, notes);
  form.packing = read_matrix_packing(*packing, file);
  return form;
}

ordered_json write_model_form(const ModelForm& form, const std::string& dtype) {
  ordered_json out = write_whole_form(form, dtype);
  if (form.packing) out[kPacking] = write_matrix_packing(*form.packing);
  return out;
}

}  // namespace attnlab
