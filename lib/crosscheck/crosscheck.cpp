#include "crosscheck/crosscheck.h"

#include "core/errors.h"

namespace attnlab {

void crosscheck(CrosscheckKind kind, const std::filesystem::path& folder, const CaseSink& done) {
  int64_t cases = 0;
  const CaseSink counted = [&](const CaseOutcome& outcome) {
    ++cases;
    done(outcome);
  };
  switch (kind) {
    case CrosscheckKind::cache:
      check_cache(folder, counted);
      break;
    case CrosscheckKind::distill:
      check_distill(folder, counted);
      break;
    case CrosscheckKind::gptq:
      check_gptq(folder, counted);
      break;
    case CrosscheckKind::mixers:
      check_mixers(folder, counted);
      break;
    case CrosscheckKind::pruning:
      check_pruning(folder, counted);
      break;
  }
  if (cases == 0)
    throw InputError(
        BadInput{.file = folder.string(),
                 .found = "no case",
                 .expected = "NAME.json beside NAME.safetensors, or checkpoints with reference.safetensors"});
}

}  // namespace attnlab
