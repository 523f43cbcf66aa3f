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

// JSONL (or a JSON array) of {"id", "response"}, or of {"task_id", "completion"} as human-eval, or of
// {"task_id", "solution"} as evalplus writes them: a solution is a whole program where the task asks for one.
// The id is a problem's, as text or as a whole number (evalplus's "Mbpp/11" is MBPP's 11); ids may repeat,
// other keys are left alone. Throws InputError with file, line and key; also for two texts in one reply.
Responses read_responses(const std::filesystem::path& path, const std::vector<Problem>& problems);

// One line a reply: {"id", "extracted", "correct", "result"}.
std::string score_lines(const Responses& responses, const std::vector<Score>& scores);

}  // namespace attnlab
