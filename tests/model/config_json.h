// A small config.json of each family, and ways to change it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "model/families/families.h"

namespace attnlab::test {

// Two layers, 8 heads of 2 KV heads, 4 numbers each where nothing else is the family's default. The family's
// own keys are absent, so that its defaults show.
nlohmann::json config_json(const std::string& type);

nlohmann::json with(nlohmann::json config, const std::string& key, const nlohmann::json& value);
nlohmann::json without(nlohmann::json config, const std::string& key);

DecoderConfig read_json(const nlohmann::json& config);
// The error's text, or "accepted".
std::string refusal(const nlohmann::json& config);

}  // namespace attnlab::test
