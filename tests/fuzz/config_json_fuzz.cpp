// Bytes as a config.json: refused with InputError, or a config (and a variant with its options) that comes back
// unchanged when it is written and read again.
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "core/errors.h"
#include "core/fields.h"
#include "core/json.h"
#include "fuzz_file.h"
#include "model/model_form.h"

using namespace attnlab;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = as_text(data, size);
  std::optional<ModelForm> read;
  read_or_refuse([&] {
    const nlohmann::json json = parse_json(text, "config.json");
    if (json.is_object()) read = read_model_form(json, "config.json");  // Checkpoint::open refuses others
  });
  if (!read) return 0;
  const ModelForm& form = *read;
  const nlohmann::json written = write_model_form(form);
  const ModelForm again = read_model_form(written, "written.json");  // must not throw
  ATTNLAB_CHECK(differences(flatten(form.config), flatten(again.config)).empty());
  ATTNLAB_CHECK(form.layers.size() == again.layers.size());
  for (size_t i = 0; i < form.layers.size(); ++i) {
    ATTNLAB_CHECK(form.layers[i].index() == again.layers[i].index());
    ATTNLAB_CHECK(differences(variant_fields(form.layers[i]), variant_fields(again.layers[i])).empty());
  }
  return 0;
}
