#include "convert/conversion.h"

#include <fmt/format.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <algorithm>
#include <cmath>
#include <limits>

#include "convert/outputs.h"
#include "core/errors.h"

namespace attnlab {
namespace {

// Streams of one model before or after a stage.
struct Level {
  ModelForm form;
  std::optional<LayerStream> calibration;  // where the next stage is calibrated
  std::optional<LayerStream> heldout;
};

// Hidden states are as many freed as allocated in each layer, in blocks that glibc keeps for later: without
// this they take half as much memory again.
void return_free_memory() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

// As it will be read back.
TensorMap rounded(const TensorMap& tensors, torch::ScalarType stored) {
  TensorMap out;
  for (const auto& [name, tensor] : tensors) out[name] = tensor.to(stored).to(torch::kFloat32);
  return out;
}

class ConversionRun {
 public:
  ConversionRun(const ModelSource& source, Transform& transform, const ConversionData& data,
                ConversionStore& store, torch::ScalarType stored)
      : source_(source),
        transform_(transform),
        data_(data),
        store_(store),
        stored_(stored),
        stages_(transform.stages()) {
    if (stored != torch::kFloat32)
      stages_.push_back({.name = "store",
                         .does = fmt::format("weights rounded to {}", torch::toString(stored)),
                         .form = stages_.back().form});
    make_levels();
    position_.facts.resize(stages_.size());
    if (auto saved = store.position()) restore(std::move(*saved));
  }

  void run(const ConversionProgress& progress) {
    const int64_t layers = source_.config().n_layers;
    for (int64_t layer = position_.next_layer; layer < layers; ++layer) {
      progress("converting", layer, layers);
      convert_layer(layer);
    }
    progress("comparing", layers, layers);
  }

  ConversionReport report() const;

 private:
  // Level 0 is the base, level s + 1 the model after stage s.
  void make_levels() {
    std::vector<ModelForm> forms{source_.form};
    for (const auto& stage : stages_) forms.push_back(stage.form);
    std::optional<LayerStream> heldout, calibration;
    if (!data_.heldout.ids_BT.empty())
      heldout.emplace(forms[0], data_.heldout, source_.embedding(), source_.device);
    if (!data_.calibration.ids_BT.empty())
      calibration.emplace(forms[0], data_.calibration, source_.embedding(), source_.device);
    for (size_t i = 0; i < forms.size(); ++i) {
      Level level{.form = forms[i]};
      if (heldout) level.heldout = heldout->branch(forms[i]);
      if (i < stages_.size() && stages_[i].calibrated) {
        ATTNLAB_CHECK(calibration.has_value());
        level.calibration = calibration->branch(forms[i]);
      }
      levels_.push_back(std::move(level));
    }
  }

  // The layer in every stage's form, from the base's on.
  std::vector<TensorMap> all_forms(int64_t layer, const TensorMap& base) {
    const torch::NoGradGuard no_grad;
    std::vector<TensorMap> forms{base};
    const size_t stages = transform_.stages().size();
    for (size_t s = 0; s < stages; ++s) {
      std::optional<CalibrationInputs> inputs;
      if (levels_[s].calibration) inputs.emplace(*levels_[s].calibration, layer, forms.back());
      LayerFacts facts;
      forms.push_back(stages_[s].convert(
          {.layer = layer, .base = base, .before = forms.back(), .calibration = inputs ? &*inputs : nullptr},
          facts));
      position_.facts[s].push_back(facts);
    }
    if (forms.size() == stages_.size()) {  // the last stage is the rounding
      forms.push_back(rounded(forms.back(), stored_));
      position_.facts.back().emplace_back();
    }
    return forms;
  }

  void convert_layer(int64_t layer) {
    const bool last = layer + 1 == source_.config().n_layers;
    const auto forms = all_forms(layer, source_.layer(layer));
    store_.put(layer, forms.back());
    for (size_t i = 0; i < levels_.size(); ++i) {
      if (levels_[i].calibration && !last) levels_[i].calibration->advance(layer, forms[i], data_.precision);
      if (levels_[i].heldout) levels_[i].heldout->advance(layer, forms[i]);
      return_free_memory();
    }
    position_.next_layer = layer + 1;
    save();
  }

  // Calls with the name of each batch of states, and the stream.
  template <class Visit>
  void visit_streams(const Visit& visit) {
    for (size_t i = 0; i < levels_.size(); ++i) {
      if (levels_[i].calibration) visit(fmt::format("calibration.{}", i), *levels_[i].calibration);
      if (levels_[i].heldout) visit(fmt::format("heldout.{}", i), *levels_[i].heldout);
    }
  }

  void save() {
    visit_streams([&](const std::string& name, const LayerStream& stream) {
      for (size_t b = 0; b < stream.states().size(); ++b)
        position_.states[fmt::format("{}.{}", name, b)] = stream.states()[b];
    });
    store_.save(position_);
    position_.states.clear();
  }

  void restore(ConversionStore::Position saved) {
    visit_streams([&](const std::string& name, LayerStream& stream) {
      std::vector<torch::Tensor> states;
      for (size_t b = 0; b < stream.states().size(); ++b)
        states.push_back(saved.states.at(fmt::format("{}.{}", name, b)).to(source_.device));
      stream.set_states(std::move(states));
    });
    saved.states.clear();
    position_ = std::move(saved);
  }

  const ModelSource& source_;
  Transform& transform_;
  const ConversionData& data_;
  ConversionStore& store_;
  torch::ScalarType stored_;
  std::vector<Stage> stages_;  // the transform's, and the rounding where there is one
  std::vector<Level> levels_;
  ConversionStore::Position position_;
};

ConversionReport ConversionRun::report() const {
  ConversionReport report{.base_cached_numbers = cached_numbers_per_token(levels_[0].form)};
  std::optional<OutputHead> head;
  if (levels_[0].heldout) head.emplace(source_);
  for (size_t s = 0; s < stages_.size(); ++s) {
    const Stage& stage = stages_[s];
    StageReport row{.name = stage.name,
                    .does = stage.does,
                    .variant = form_name(stage.form),
                    .exact = stage.exact,
                    .cached_numbers = cached_numbers_per_token(stage.form),
                    .layers = position_.facts[s]};
    if (head) {
      const auto& after = *levels_[s + 1].heldout;
      row.from_base = head->compare(*levels_[0].heldout, after, data_.heldout);
      row.max_difference = s == 0
                               ? row.from_base.max_logit_difference
                               : head->compare(*levels_[s].heldout, after, data_.heldout).max_logit_difference;
      row.tolerance = rounding_tolerance(source_.config(), row.from_base.largest_logit);
      report.base_perplexity = row.from_base.perplexity_before;
    }
    report.stages.push_back(std::move(row));
  }
  return report;
}

void require_exact(const ConversionReport& report) {
  for (const auto& stage : report.stages)
    if (stage.exact && !(stage.max_difference <= stage.tolerance))
      throw RunError(
          fmt::format("stage {}: it should change nothing, but moved logits by up to {:.3g} (rounding explains "
                      "{:.1g}): the "
                      "conversion is wrong",
                      stage.name, stage.max_difference, stage.tolerance));
}

}  // namespace

double rounding_tolerance(const DecoderConfig& config, double largest_logit) {
  const double eps = std::numeric_limits<float>::epsilon();
  const double terms = std::sqrt(static_cast<double>(std::max(config.d_model, config.d_ff)));
  return 4 * eps * terms * static_cast<double>(config.n_layers + 1) * std::max(largest_logit, 1.0);
}

ConversionReport run_conversion(const ModelSource& source, Transform& transform, const ConversionData& data,
                                ConversionStore& store, torch::ScalarType stored,
                                const ConversionProgress& progress) {
  ConversionRun run(source, transform, data, store, stored);
  run.run(progress);
  auto report = run.report();
  require_exact(report);
  return report;
}

}  // namespace attnlab
