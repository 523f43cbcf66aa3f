// What a person is told of an error that torch raised in a run.
#pragma once

#include <c10/util/Exception.h>

#include <string>

#include "train/train_config.h"

namespace attnlab {

// Torch's own words in one line, without the stack trace. If memory ran out, that, and settings that need less
// and train on the same examples in each step.
std::string failure_message(const c10::Error& error, const TrainConfig& train);

}  // namespace attnlab
