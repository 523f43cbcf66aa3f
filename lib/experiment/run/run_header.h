// What a run's file says before the first step.
#pragma once

#include "experiment/arms/arm_model.h"
#include "experiment/run/evaluation.h"
#include "experiment/run/reporter.h"
#include "results/run_file.h"

namespace attnlab {

// Measures how far the converted model is from the base, and notes it.
RunHeader make_run_header(const PlannedRun& run, const Base& base, const Data& data, const BatchStream& stream,
                          const ArmModel& model, const Evaluator& evaluator, torch::Device device,
                          Reporter& reporter);

}  // namespace attnlab
