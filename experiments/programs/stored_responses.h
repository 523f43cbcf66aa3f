// Replies that an evaluation kept, to be scored again.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "tasks/responses.h"

namespace attnlab {

// The evaluation of a run's model after its last step: tasks.seed0.step100.h5 beside seed0.h5. Throws
// InputError if there is none.
std::filesystem::path evaluation_of(const std::filesystem::path& run);

// The replies to the task with this label, to the problems of the same ids. Throws InputError.
Responses stored_responses(const std::filesystem::path& path, const std::string& task,
                           const std::vector<Problem>& problems);

}  // namespace attnlab
