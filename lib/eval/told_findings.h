// What ranks tell each other of what they found.
#pragma once

#include <string>

#include "eval/task_log.h"

namespace attnlab {

// To the bit, and back.
std::string tell_findings(const TaskFindings& findings);
TaskFindings told_findings(const std::string& told);

}  // namespace attnlab
