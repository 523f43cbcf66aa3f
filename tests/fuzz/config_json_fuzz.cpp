// Bytes as a config.json: refused with InputError, or a config that comes back unchanged when it is written and
// read again.
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "checkpoint/json.h"
#include "core/errors.h"
#include "core/fields.h"
#include "model/families/families.h"

using namespace attnlab;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  nlohmann::json json;
  DecoderConfig config;
  try {
    json = parse_json(text, "config.json");
    if (!json.is_object()) return 0;  // Checkpoint::open refuses it
    config = read_decoder_config(json, "config.json");
  } catch (const InputError&) {
    return 0;
  }
  const nlohmann::json written = write_decoder_config(config);
  const DecoderConfig again = read_decoder_config(written, "written.json");  // must not throw
  ATTNLAB_CHECK(differences(flatten(config), flatten(again)).empty());
  return 0;
}
