// The shape that a pruned model has. Without torch.
#pragma once

#include <optional>

#include "core/errors.h"
#include "model/model_form.h"
#include "train/prune_config.h"

namespace attnlab {

// Why this base can't be pruned so, if so (key below train.prune): another form than GQA with dense MLPs and
// norms in front of them alone, layers with different windows that some would leave, sizes that are none of a
// smaller shape.
std::optional<BadInput> prune_problem(const ModelForm& form, const PruneConfig& config);
// The config that the cut leaves.
DecoderConfig pruned_config(const DecoderConfig& base, const PruneConfig& config);

}  // namespace attnlab
