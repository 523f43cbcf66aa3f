// One run from its first step to its last, or from where it stood.
#pragma once

#include "experiment/inputs/inputs.h"
#include "experiment/inputs/teacher.h"
#include "experiment/run/reporter.h"
#include "ranks/world.h"
#include "tensor/torch.h"

namespace attnlab {

// Executes or continues a run that is not complete. The caller holds its lock. After each evaluation and every
// train.checkpoint_every steps nothing before can be lost; a resumed run repeats the steps since the last saved
// state and gets the same numbers. Throws Interrupted (state saved), or RunError (run marked failed; the same
// call goes on with it). All ranks of `world` call the same; rank 0 owns the run's files and says what is said.
void run_one(const Plan& plan, const PlannedRun& run, Inputs& inputs, Teachers& teachers, torch::Device device,
             Reporter& reporter, World& world = World::alone());

}  // namespace attnlab
