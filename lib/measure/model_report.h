// What inspect_model says of a model, as a text for people and as JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "measure/model_facts.h"

namespace attnlab {

std::string format_report(const ModelFacts& facts, const LatentRanks& ranks, const KvDemand& demand);
nlohmann::ordered_json report_json(const ModelFacts& facts, const LatentRanks& ranks, const KvDemand& demand);

}  // namespace attnlab
