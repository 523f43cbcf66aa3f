// Checks of whole models, of which check_pruning.cpp has the others.
#pragma once

#include "crosscheck/case_check.h"

namespace attnlab {

// A model under masks beside its source and the model that the masks leave: logits, loss, gradients, tensors.
void check_masked_model(const CaseFile& file, CaseCheck& check);

}  // namespace attnlab
