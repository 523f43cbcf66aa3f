// Folders of cases that other software made, run against this project. Each kind has a file of its own.
#pragma once

#include <filesystem>

#include "core/names.h"
#include "crosscheck/case_check.h"

namespace attnlab {

enum class CrosscheckKind { cache, distill, gptq, mixers, pruning };
template <>
struct EnumNames<CrosscheckKind> {
  static constexpr std::array<std::pair<std::string_view, CrosscheckKind>, 5> rows{
      {{"cache", CrosscheckKind::cache},
       {"distill", CrosscheckKind::distill},
       {"gptq", CrosscheckKind::gptq},
       {"mixers", CrosscheckKind::mixers},
       {"pruning", CrosscheckKind::pruning}}};
};

// Runs every case below the folder; `done` hears of each when it is through. Throws InputError for a folder
// that is not there or holds no case.
void crosscheck(CrosscheckKind kind, const std::filesystem::path& folder, const CaseSink& done);

// Caches under policies and in storages: which tokens are held, what is read back, and logits.
void check_cache(const std::filesystem::path& folder, const CaseSink& done);
// Losses of a student against its teacher, with gradients; starts of MLA by X-EcoMLA.
void check_distill(const std::filesystem::path& folder, const CaseSink& done);
// Quantised matrices, their packed tensors, and whole checkpoints of them.
void check_gptq(const std::filesystem::path& folder, const CaseSink& done);
// Layers of attention and recurrences: outputs, states and gradients; whole checkpoints of them.
void check_mixers(const std::filesystem::path& folder, const CaseSink& done);
// Sliced streams, masks, cut models, and shares of a mixture that follow losses.
void check_pruning(const std::filesystem::path& folder, const CaseSink& done);

}  // namespace attnlab
