// A conversion's report as JSON and as a table.
#pragma once

#include <nlohmann/json.hpp>

#include "convert/conversion.h"

namespace attnlab {

nlohmann::ordered_json to_json(const ConversionReport& report);
// Facts of layers, for going on after a kill.
nlohmann::json facts_to_json(const std::vector<std::vector<LayerFacts>>& facts);
std::vector<std::vector<LayerFacts>> facts_from_json(const nlohmann::json& json);
// The options of a target, by name.
nlohmann::ordered_json options_to_json(const ConversionTarget& target);
// Steps, and back.
nlohmann::ordered_json steps_to_json(const std::vector<ConversionStep>& steps);
std::vector<ConversionStep> steps_from_json(const nlohmann::json& json);

// Lines for a terminal: a row for each stage, then what the stages tell of the layers.
std::string conversion_table(const ConversionReport& report);

}  // namespace attnlab
