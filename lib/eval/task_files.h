// Where scripts/fetch_data.sh puts the files of each task.
#pragma once

#include <filesystem>

#include "eval/task_config.h"

namespace attnlab {

// The task with its problems and, where its protocols take worked examples from a file, those too, in the
// folder that the script filled. Generated tasks get no path. Throws InputError (key: --data) if a file is not
// there.
TaskConfig task_in_folder(Task task, const std::filesystem::path& folder);

// The same with the problems of the training split, for data that a teacher makes. Tasks whose publishers have
// none are refused.
TaskConfig training_task_in_folder(Task task, const std::filesystem::path& folder);

}  // namespace attnlab
