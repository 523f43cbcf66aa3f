#include "experiment/run/run_header.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/document.h"
#include "core/option_text.h"
#include "experiment/inputs/provenance.h"

namespace attnlab {
namespace {

// "mla_deepseek (kv_lora_rank 48)" where ranks follow from a size of the cache, and else the name.
std::string form_text(const ModelForm& form, const ArmConfig& arm) {
  if (!arm.cache && !arm.cached_numbers) return form_name(form);
  std::vector<std::string> parts;
  for (const auto& group : layer_groups(form)) {
    const FlatFields standard = variant_fields(*variant_defaults(variant_name(group.variant)));
    FlatFields options = variant_fields(group.variant);
    std::erase_if(options, [&](const auto& option) {
      return std::find(standard.begin(), standard.end(), option) != standard.end();
    });
    parts.push_back(with_options_text(variant_name(group.variant), options));
  }
  return join(parts, " + ");
}

}  // namespace

RunHeader make_run_header(const PlannedRun& run, const Base& base, const Data& data, const BatchStream& stream,
                          const ArmModel& model, const Evaluator& evaluator, torch::Device device,
                          Reporter& reporter) {
  const RunConfig& config = run.config;
  const Equivalence equivalence = compare_with_base(base, data, *model.decoder);
  const FlatFields fields = flatten(config);
  FlatFields provenance = provenance_of(base, data, device);
  for (auto& fact : training_facts(data, stream)) provenance.push_back(std::move(fact));
  const std::string form = form_text(model.decoder->form(), config.arm);
  provenance.emplace_back("form", form);
  if (!run.rate_note.empty()) provenance.emplace_back("lr_selection", run.rate_note);
  reporter.note(fmt::format("{}: converted to {}: max |Δlogit| {:.2g}, KL {:.2g} nats", run_name(run), form,
                            equivalence.max_logit_difference, equivalence.kl_divergence));
  return {.experiment = config.experiment,
          .arm = config.arm.name,
          .variant = form_name(model.decoder->form()),
          .sweep_point = run.sweep_point,
          .arm_index = run.arm_index,
          .seed = config.seed,
          .parameters_total = model.parameters_total,
          .parameters_trainable = model.parameters_trainable,
          .cached_numbers_per_token = model.decoder->cached_numbers_per_token(),
          .cache_context = config.eval.cache.report_context,
          .cache_bytes = model.decoder->state_bytes(config.eval.cache, config.eval.cache.report_context,
                                                    computed_bytes(config.train.precision)),
          .flops_per_token = model.decoder->forward_flops_per_token(config.train.sequence_length),
          .config = fields,
          .provenance = provenance,
          .conversion = flatten(equivalence),
          .resolved_yaml = to_yaml(fields),
          .prompt_bytes = evaluator.prompt_bytes(),
          .gold_bytes = evaluator.gold_bytes(),
          .output_bytes = evaluator.output_bytes()};
}

}  // namespace attnlab
