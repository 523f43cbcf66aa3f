// The files of offline scoring: replies in, scores out.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tasks/score.h"

namespace attnlab {

struct Responses {
  std::vector<nlohmann::json> ids;  // as the file gives them
  std::vector<Reply> replies;
};

// JSONL of {"id", "response"}: id is a problem's id, as text or as a whole number; ids may repeat, other keys
// are left alone. Throws InputError with file, line and key.
Responses read_responses(const std::filesystem::path& path, const std::vector<Problem>& problems);

// One line a reply: {"id", "extracted", "correct", "result"}.
std::string score_lines(const Responses& responses, const std::vector<Score>& scores);

}  // namespace attnlab
