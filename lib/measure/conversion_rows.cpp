#include "measure/conversion_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "attention/deepseek_mla.h"
#include "attention/gqa_weights.h"
#include "attention/mla_deepseek.h"
#include "attention/variant_config.h"
#include "convert/layer_tensors.h"
#include "model/decoder_weights.h"

namespace attnlab {
namespace {

namespace fs = std::filesystem;

class NoStore final : public ConversionStore {
 public:
  void put(int64_t, const TensorMap&) override {}
};

std::string folder_name(const fs::path& folder) {
  const auto path = fs::weakly_canonical(folder);
  return path.filename().string();
}

CalibrationRows read_rows(const BaseOptions& o, const DecoderConfig& config) {
  std::optional<Tokenizer> tokenizer;
  if (!o.calibration.ends_with(".safetensors") || (!o.heldout.empty() && !o.heldout.ends_with(".safetensors")))
    tokenizer = Tokenizer::load(o.model);
  return read_calibration(o.calibration, o.heldout, tokenizer ? &*tokenizer : nullptr, config.vocab_size,
                          o.rows);
}

// `settled`: the options of the whole conversion; `form`: of the model after the stage.
ConversionRow row_of(const MeasuredBase& base, const PlannedConversion& planned, const VariantConfig& settled,
                     const ModelForm& form, const StageReport& stage) {
  const Equivalence& e = stage.from_base;
  // DeepSeek-V3's export has a number more, which makes its norm harmless.
  const VariantConfig& variant = form.layers.front();  // all layers are converted alike
  const bool exported = variant.is<DeepseekMla>();
  ConversionRow row{.exact = stage.exact,
                    .rank = variant_rank(base.source.config().attention_shape(), exported ? settled : variant),
                    .cached = stage.cached_numbers,
                    .max_logit_difference = e.max_logit_difference,
                    .kl = e.kl_divergence,
                    .same_token = e.top1_agreement,
                    .perplexity_base = e.perplexity_before,
                    .perplexity = e.perplexity_after,
                    .base = base.name,
                    .form = planned.form,
                    .stage = stage.name,
                    .options = planned.options};
  if (const auto* deepseek = settled.get_if<MlaDeepseek>()) {
    row.freqfold = freqfold_of(*deepseek);
    row.collapse = deepseek->collapse;
  }
  return row;
}

void add_norms(std::vector<NormRow>& rows, const NormRow& like, const torch::Tensor& norms) {
  for (int64_t i = 0; i < norms.size(0); ++i) {
    rows.push_back(like);
    rows.back().dimension = i;
    rows.back().norm = norms[i].item<double>();
  }
}

void add_layer_norms(std::vector<NormRow>& rows, const MeasuredBase& base, const LayerMoments& moments,
                     const std::vector<int64_t>& freqfolds, int64_t freqfold) {
  const DecoderConfig& config = base.source.config();
  const auto add = [&](const char* part, const char* stage, int64_t m, const torch::Tensor& norms) {
    add_norms(rows, {.layer = moments.layer, .freqfold = m, .base = base.name, .stage = stage, .part = part},
              norms);
  };
  const auto fold = [&](int64_t m) {
    return RopeFold{.n_kv_heads = config.n_kv_heads, .head_dim = config.head_dim, .freqfold = m};
  };
  add("key", "before", 0, key_norms(moments.keys, moments.tokens, fold(1)).before);
  for (const int64_t m : freqfolds)
    add("key", "rotated", m, key_norms(moments.keys, moments.tokens, fold(m)).rotated);
  const auto balance = balance_norms(moments.keys, moments.values, moments.tokens, fold(freqfold));
  add("k_nope", "before", freqfold, balance.k_nope_before);
  add("k_nope", "after", freqfold, balance.k_nope_after);
  add("v", "before", freqfold, balance.v_before);
  add("v", "after", freqfold, balance.v_after);
}

// Of k_up and v_up among attention's tensors ("k_up_proj.weight").
void add_grams(std::vector<GramRow>& rows, const GramRow& like, const TensorMap& attention, int64_t columns) {
  for (const char* side : {"k", "v"}) {
    const auto& up = attention.at(fmt::format("{}_up_proj.weight", side));
    const int64_t n = std::min(columns, up.size(1));
    const auto gram = gram_of(up.narrow(1, 0, n)).contiguous();
    const double* values = gram.data_ptr<double>();
    for (int64_t i = 0; i < n * n; ++i) {
      rows.push_back(like);
      GramRow& row = rows.back();
      row.row = i / n;
      row.column = i % n;
      row.value = values[i];
      row.matrix = fmt::format("{}_up", side);
    }
  }
}

void check_length(const BaseOptions& o, const CalibrationRows& rows, const DecoderConfig& config) {
  const auto whole = make_planned(config, {.form = "mla_deepseek", .settings = {"freqfold=1"}});
  const int64_t needed = whole->numbers_to_estimate(), found = rows.calibration_NT.numel();
  if (found < needed)
    throw InputError(
        BadInput{.file = o.calibration,
                 .found = fmt::format("{} tokens for calibration", found),
                 .expected = fmt::format("at least {}: as many directions are estimated", needed)});
}

}  // namespace

MeasuredBase read_base(const BaseOptions& o, const ConversionGrid& wanted) {
  const auto checkpoint = std::make_shared<Checkpoint>(Checkpoint::open(o.model));
  const ModelForm form = read_checkpoint_form(*checkpoint);
  check_checkpoint(*checkpoint, form);
  if (!is_native(form) || form.config.mla || form.packing)
    throw InputError(BadInput{
        .file = o.model,
        .found = (form.packing ? "quantised weights, attention of the form " : "attention of the form ") +
                 form_name(form),
        .expected = "a base with GQA and whole weights"});
  const AttentionShape shape = form.config.attention_shape();
  for (const auto& planned : plan_conversions(shape, complete_grid(wanted, shape), 1))
    make_planned(form.config, planned);
  const auto rows = read_rows(o, form.config);
  check_length(o, rows, form.config);
  MeasuredBase base{
      .name = o.name.empty() ? folder_name(o.model) : o.name,
      .source = {.form = form,
                 .layer =
                     [=, device = o.device](int64_t layer) {
                       return read_layer_weights(*checkpoint, form, layer, torch::kFloat32, device);
                     },
                 .outer = read_outer_weights(*checkpoint, form, torch::kFloat32, torch::kCPU),
                 .devices = o.device},
      .data = {.calibration = make_batches(rows.calibration_NT), .heldout = make_batches(rows.heldout_NT)}};
  base.facts = {{"base", base.name},
                {"weights_sha256", checkpoint->weights_sha256()},
                {"text_sha256", rows.sha256},
                {"calibration_tokens", base.data.calibration.tokens()},
                {"heldout_tokens", base.data.heldout.tokens()}};
  base.notes = checkpoint->notes();
  return base;
}

int64_t chosen_freqfold(const MeasuredBase& base, const ConversionProgress& progress) {
  const auto transform = make_planned(base.source.config(), {.form = "mla_deepseek"});
  const torch::NoGradGuard no_grad;
  transform->prepare(base.source, base.data, progress);
  return freqfold_of(transform->settled().front().variant().get<MlaDeepseek>());
}

std::vector<ConversionRow> conversion_rows(const MeasuredBase& base, const PlannedConversion& planned,
                                           const ConversionProgress& progress) {
  const torch::NoGradGuard no_grad;
  const auto transform = make_planned(base.source.config(), planned);
  ConversionData data = base.data;
  if (!transform->is_calibrated()) data.calibration = {};
  transform->prepare(base.source, data, progress);
  NoStore store;
  const auto report = run_conversion(base.source, *transform, data, store, torch::kFloat32, progress);
  std::vector<ConversionRow> rows;
  for (size_t i = 0; i < report.stages.size(); ++i) {
    const auto& kept = planned.stages;
    const StageReport& stage = report.stages[i];
    if (!kept.empty() && std::find(kept.begin(), kept.end(), stage.name) == kept.end()) continue;
    rows.push_back(
        row_of(base, planned, transform->settled().front().variant(), transform->stages()[i].form, stage));
    rows.back().cached_base = report.base_cached_numbers;
  }
  return rows;
}

std::vector<NormRow> norm_rows(const MeasuredBase& base, const std::vector<int64_t>& freqfolds,
                               int64_t freqfold, const ConversionProgress& progress) {
  std::vector<NormRow> rows;
  visit_moments(base.source, base.data, progress, [&](const LayerMoments& moments) {
    add_layer_norms(rows, base, moments, freqfolds, freqfold);
  });
  return rows;
}

std::vector<GramRow> converted_gram_rows(const MeasuredBase& base, int64_t columns) {
  const torch::NoGradGuard no_grad;
  const auto gqa = gqa_weights(mixer_of(base.source.layer(0)));
  std::vector<GramRow> rows;
  for (const char* form : {"mla_identity", "mla_orthogonal"})
    add_grams(rows, {.base = base.name, .form = form, .state = "converted"},
              convert_from_gqa(base.source.config().attention_shape(0), *variant_defaults(form), gqa), columns);
  return rows;
}

std::vector<GramRow> trained_gram_rows(const std::string& folder, const std::string& base, int64_t columns) {
  const auto checkpoint = Checkpoint::open(folder);
  const ModelForm form = read_checkpoint_form(checkpoint);
  const std::string name = form_name(form);
  if (name != "mla_identity" && name != "mla_orthogonal")
    throw InputError(BadInput{.file = folder,
                              .found = "attention of the form " + name,
                              .expected = "mla_identity or mla_orthogonal, which have up-projections"});
  check_checkpoint(checkpoint, form);
  std::vector<GramRow> rows;
  add_grams(rows, {.base = base, .form = name, .state = "trained"},
            mixer_of(read_layer_weights(checkpoint, form, 0, torch::kFloat32, torch::kCPU)), columns);
  return rows;
}

}  // namespace attnlab
