// Which conversions of a base are measured.
#pragma once

#include <string>
#include <vector>

#include "convert/transform.h"

namespace attnlab {

// One conversion, and what is kept of it.
struct PlannedConversion {
  std::string form;
  std::vector<std::string> settings;  // "kv_lora_rank=64"
  std::vector<std::string> stages;    // whose rows are kept; empty: all. Stages behind the last are not run
  std::string options;                // text of ConversionRow::options
};

// Ranks and freqfolds to try, ascending.
struct ConversionGrid {
  std::vector<int64_t> ranks, freqfolds, collapses;
  std::vector<std::string> forms;  // beside mla_deepseek
};

// What is empty gets its default: six ranks up to the full one and that of half the cache; all powers of 2 that
// divide H / 2; all forms that the base can have. Throws InputError (--ranks, --freqfolds, --forms) for those
// that it can't have.
ConversionGrid complete_grid(ConversionGrid wanted, const AttentionShape& shape);
// Stages at the middle rank; freqfold × collapse; rank × PCA × balance; forms with the whole cache and with
// half of it. `freqfold`: of all but the second.
std::vector<PlannedConversion> plan_conversions(const AttentionShape& shape, const ConversionGrid& grid,
                                                int64_t freqfold);
// The transform, cut behind the last stage that is kept. Throws InputError where the base can't be converted
// so.
std::unique_ptr<Transform> make_planned(const DecoderConfig& base, const PlannedConversion& planned);

}  // namespace attnlab
