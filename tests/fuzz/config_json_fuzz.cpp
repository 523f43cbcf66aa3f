// Bytes as a config.json: refused with InputError, or a config (and a variant with its options) that comes back
// unchanged when it is written and read again.
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "core/errors.h"
#include "core/fields.h"
#include "core/json.h"
#include "model/model_form.h"

using namespace attnlab;

namespace {

FlatFields options_of(const VariantConfig& variant) {
  return std::visit([](const auto& options) { return flatten(options); }, variant);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  nlohmann::json json;
  ModelForm form;
  try {
    json = parse_json(text, "config.json");
    if (!json.is_object()) return 0;  // Checkpoint::open refuses it
    form = read_model_form(json, "config.json");
  } catch (const InputError&) {
    return 0;
  }
  const nlohmann::json written = write_model_form(form);
  const ModelForm again = read_model_form(written, "written.json");  // must not throw
  ATTNLAB_CHECK(differences(flatten(form.config), flatten(again.config)).empty());
  ATTNLAB_CHECK(form.layers.size() == again.layers.size());
  for (size_t i = 0; i < form.layers.size(); ++i) {
    ATTNLAB_CHECK(form.layers[i].index() == again.layers[i].index());
    ATTNLAB_CHECK(differences(options_of(form.layers[i]), options_of(again.layers[i])).empty());
  }
  return 0;
}
