// Which way of asking and scoring explains a published number.
#pragma once

#include <string>
#include <vector>

#include "eval/task_data.h"
#include "results/evaluation_file.h"

namespace attnlab {

// "61.6" in percent: a number that was rounded to its last digit.
struct PublishedScore {
  double percent = 0, half_digit = 0.5;
};
// Throws InputError naming `option`, too for numbers outside 0 … 100.
PublishedScore parse_published(const std::string& option, const std::string& text);

// The task once for each protocol that asks in its own way, with that protocol's worked examples and (where
// these are more than none) without any, named TASK@PROTOCOL and TASK@PROTOCOL:0; each is scored under all
// protocols of the task, the asking one first. `given`: with shots said, these alone. Throws InputError for a
// task that has one way of scoring, and what load_task throws.
std::vector<TaskData> calibration_tasks(const TaskConfig& given, const std::string& key);

// A table: how it was asked, how scored, the score with its 95 % interval over problems, and whether the
// published number, as far as it was rounded, lies inside; then a sentence that names those that explain it.
std::string format_calibration(const std::vector<ScoreRow>& scores, const PublishedScore& published);

}  // namespace attnlab
