// Bytes as a config.json: refused with InputError, or a config (and a variant with its options) that comes back
// unchanged when it is written and read again.
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "checkpoint/json.h"
#include "core/errors.h"
#include "core/fields.h"
#include "model/decoder_form.h"

using namespace attnlab;

namespace {

FlatFields options_of(const DecoderForm& form) {
  return std::visit([](const auto& options) { return flatten(options); }, form.variant);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  nlohmann::json json;
  DecoderForm form;
  try {
    json = parse_json(text, "config.json");
    if (!json.is_object()) return 0;  // Checkpoint::open refuses it
    form = read_decoder_form(json, "config.json");
  } catch (const InputError&) {
    return 0;
  }
  const nlohmann::json written = write_decoder_form(form);
  const DecoderForm again = read_decoder_form(written, "written.json");  // must not throw
  ATTNLAB_CHECK(differences(flatten(form.config), flatten(again.config)).empty());
  ATTNLAB_CHECK(form.variant.index() == again.variant.index());
  ATTNLAB_CHECK(differences(options_of(form), options_of(again)).empty());
  return 0;
}
