#include "convert/conversion.h"

#include <fmt/format.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>

#include "convert/outputs.h"
#include "convert/rounding.h"
#include "core/errors.h"

namespace attnlab {
namespace {

// Streams of one model before or after a stage.
struct Level {
  ModelForm form;
  TensorMap outer;                         // the embedding, for the time being
  std::optional<LayerStream> calibration;  // where the next stage is calibrated, or the one before sees it
  std::optional<LayerStream> heldout;
};

// Hidden states are as many freed as allocated in each layer, in blocks that glibc keeps for later: without
// this they take half as much memory again. What is given back costs page faults when it is taken again, and
// little of it is left alone.
void return_free_memory() {
#ifdef __GLIBC__
  constexpr size_t kept = size_t{256} << 20;
  if (mallinfo2().fordblks > kept) malloc_trim(0);
#endif
}

// As it will be read back.
TensorMap rounded(const TensorMap& tensors, torch::ScalarType stored) {
  TensorMap out;
  for (const auto& [name, tensor] : tensors)
    out[name] = is_packed_part(name) ? tensor : tensor.to(stored).to(torch::kFloat32);
  return out;
}

// When states are saved: such that it takes a twentieth of the time at most, and a kill undoes no more than
// twenty times what saving takes, and one layer.
class SavePace {
 public:
  bool is_due() const { return Clock::now() >= next_; }
  template <class Save>
  void time(const Save& save) {
    const auto begin = Clock::now();
    save();
    next_ = Clock::now() + 20 * (Clock::now() - begin);
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point next_;  // at first: now
};

bool changes_outer(const Stage& stage) { return static_cast<bool>(stage.outer.convert); }

class ConversionRun {
 public:
  ConversionRun(const ModelSource& source, Transform& transform, const ConversionData& data,
                ConversionStore& store, torch::ScalarType stored, bool probes_rounding = false)
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
    position_.facts.resize(stages_.size());
    carried_.resize(stages_.size());
    auto saved = store.position();
    if (saved) restore_carried(*saved);
    make_levels(/*begin=*/!saved, probes_rounding);
    if (saved) restore(std::move(*saved));
  }

  void run(const ConversionProgress& progress) {
    const int64_t layers = source_.config().n_layers;
    for (int64_t layer = position_.next_layer; layer < layers; ++layer) {
      tell(progress, layer);
      convert_layer(layer);
    }
    progress("comparing", layers, layers);
    for (size_t s = 0; s < stages_.size(); ++s) levels_[s + 1].outer = outer_after(s);
    store_.put_outer(levels_.back().outer);
  }

  ConversionReport report() const;
  // What rounding may make of the result, where that is probed.
  double rounding() const {
    const Level& last = levels_.back();
    return rounding_.value().result({last.form, last.outer, source_.devices, data_.heldout_precision},
                                    data_.heldout);
  }

 private:
  // By level, of those that are measured, but the base.
  std::map<size_t, ModelStep> steps() const;

  // Whoever ends the work there, as a progress may, loses nothing.
  void tell(const ConversionProgress& progress, int64_t layer) {
    try {
      progress("converting", layer, source_.config().n_layers);
    } catch (...) {
      if (unsaved_) save();
      throw;
    }
  }

  // Level 0 is the base, level s + 1 the model after stage s.
  // `begin`: stages look at the embedded text.
  void make_levels(bool begin, bool probes_rounding) {
    std::optional<LayerStream> heldout, calibration;
    for (size_t i = 0; i <= stages_.size(); ++i) {
      Level level{.form = i == 0 ? source_.form : stages_[i - 1].form, .outer = source_.outer};
      if (i > 0) {
        const Stage& stage = stages_[i - 1];
        if (begin && stage.outer.begin)
          stage.outer.begin(levels_[i - 1].outer, data_.calibration, carried_[i - 1]);
        level.outer = outer_after(i - 1);
      }
      // Streams over the same embedding share their states.
      if (i == 0 || changes_outer(stages_[i - 1])) embed(level, heldout, calibration);
      if (heldout && is_measured(i)) level.heldout = heldout->branch(level.form);
      if (looks_at(i)) {
        ATTNLAB_CHECK(calibration.has_value());
        level.calibration = calibration->branch(level.form);
      }
      levels_.push_back(std::move(level));
    }
    if (probes_rounding)
      rounding_.emplace(heldout.value().branch(levels_.back().form), data_.heldout_precision);
  }

  void embed(const Level& level, std::optional<LayerStream>& heldout,
             std::optional<LayerStream>& calibration) const {
    const auto& embedding = level.outer.at("model.embed_tokens.weight");
    if (!data_.heldout.ids_BT.empty()) heldout.emplace(level.form, data_.heldout, embedding, source_.devices);
    if (!data_.calibration.ids_BT.empty())
      calibration.emplace(level.form, data_.calibration, embedding, source_.devices);
  }

  bool is_measured(size_t level) const {
    if (data_.measured == Measured::ends) return level == 0 || level == stages_.size();
    return data_.measured == Measured::stages;
  }

  // Somebody looks at calibration text of the model at this level.
  bool looks_at(size_t level) const {
    const bool next = level < stages_.size() && stages_[level].calibrated && !stages_[level].sees_result;
    const bool own = level > 0 && stages_[level - 1].calibrated && stages_[level - 1].sees_result;
    return next || own;
  }

  TensorMap outer_after(size_t stage) const {
    const TensorMap& before = levels_[stage].outer;
    return changes_outer(stages_[stage]) ? stages_[stage].outer.convert(before, carried_[stage]) : before;
  }

  // The layer in every stage's form, from the base's on.
  std::vector<TensorMap> all_forms(int64_t layer, const TensorMap& base) {
    const torch::NoGradGuard no_grad;
    std::vector<TensorMap> forms{base};
    const size_t stages = transform_.stages().size();
    for (size_t s = 0; s < stages; ++s) {
      std::optional<CalibrationInputs> inputs;
      const bool own = stages_[s].sees_result && levels_[s + 1].calibration;
      if (levels_[s].calibration) inputs.emplace(*levels_[s].calibration, layer, forms.back());
      LayerFacts facts;
      forms.push_back(stages_[s].convert({.layer = layer,
                                          .base = base,
                                          .before = forms.back(),
                                          .calibration = inputs ? &*inputs : nullptr,
                                          .result = own ? &*levels_[s + 1].calibration : nullptr,
                                          .carried = &carried_[s]},
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
      if (levels_[i].heldout) levels_[i].heldout->advance(layer, forms[i], data_.heldout_precision);
    }
    if (rounding_) rounding_->advance(layer, forms.back());
    return_free_memory();
    position_.next_layer = layer + 1;
    unsaved_ = true;
    if (last || pace_.is_due()) pace_.time([&] { save(); });
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
    for (size_t s = 0; s < carried_.size(); ++s)
      for (const auto& [name, tensor] : carried_[s]) position_.states[carried_prefix(s) + name] = tensor;
    store_.save(position_);
    position_.states.clear();
    unsaved_ = false;
  }

  static std::string carried_prefix(size_t stage) { return fmt::format("carried.{}.", stage); }

  void restore_carried(const ConversionStore::Position& saved) {
    for (size_t s = 0; s < carried_.size(); ++s)
      for (const auto& [name, tensor] : saved.states)
        if (const std::string prefix = carried_prefix(s); name.starts_with(prefix))
          carried_[s][name.substr(prefix.size())] = tensor;
  }

  void restore(ConversionStore::Position saved) {
    visit_streams([&](const std::string& name, LayerStream& stream) {
      std::vector<torch::Tensor> states;
      for (size_t b = 0; b < stream.states().size(); ++b)
        states.push_back(saved.states.at(fmt::format("{}.{}", name, b)));
      stream.set_states(states);
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
  std::optional<RoundingProbe> rounding_;  // of the last level
  std::vector<TensorMap> carried_;         // by stage
  ConversionStore::Position position_;
  bool unsaved_ = false;
  SavePace pace_;
};

bool moved_too_far(const StageReport& stage) {
  return stage.exact && stage.max_difference && !(*stage.max_difference <= stage.tolerance);
}

std::map<size_t, ModelStep> ConversionRun::steps() const {
  // One for levels of the same surroundings.
  std::vector<std::optional<OutputHead>> heads(levels_.size());
  std::vector<size_t> measured;
  std::vector<HeadedStream> models;
  size_t head = 0;
  for (size_t i = 0; i < levels_.size(); ++i) {
    if (i > 0 && changes_outer(stages_[i - 1])) head = i;
    if (!levels_[i].heldout) continue;
    if (!heads[head])
      heads[head].emplace(levels_[i].form, levels_[i].outer, source_.devices, data_.heldout_precision);
    measured.push_back(i);
    models.push_back({*heads[head], *levels_[i].heldout});
  }
  std::map<size_t, ModelStep> out;
  if (models.size() < 2) return out;
  const auto steps = compare(models, data_.heldout);
  for (size_t m = 1; m < measured.size(); ++m) out[measured[m]] = steps[m - 1];
  return out;
}

ConversionReport ConversionRun::report() const {
  const auto element = static_cast<int64_t>(c10::elementSize(stored_));
  ConversionReport report{.base_cached_numbers = cached_numbers_per_token(levels_[0].form),
                          .base_weight_bytes = weight_bytes(levels_[0].form, element)};
  const auto measured = steps();
  for (size_t s = 0; s < stages_.size(); ++s) {
    const Stage& stage = stages_[s];
    StageReport row{.name = stage.name,
                    .does = stage.does,
                    .variant = form_name(stage.form),
                    .exact = stage.exact,
                    .cached_numbers = cached_numbers_per_token(stage.form),
                    .weight_bytes = weight_bytes(stage.form, element),
                    .layers = position_.facts[s]};
    if (const auto step = measured.find(s + 1); step != measured.end()) {
      row.from_base = step->second.from_first;
      if (levels_[s].heldout) row.max_difference = step->second.max_difference;
      row.tolerance =
          rounding_tolerance(source_.config(), row.from_base.largest_logit, data_.heldout_precision);
      report.base_perplexity = row.from_base.perplexity_before;
    }
    report.stages.push_back(std::move(row));
  }
  return report;
}

class FirstStages final : public Transform {
 public:
  FirstStages(const Transform& whole, size_t count)
      : whole_(whole), stages_(whole.stages().begin(), whole.stages().begin() + static_cast<int64_t>(count)) {}
  const std::vector<Stage>& stages() const override { return stages_; }
  std::vector<ConversionStep> settled() const override { return whole_.settled(); }

 private:
  const Transform& whole_;
  std::vector<Stage> stages_;
};

class NoStore final : public ConversionStore {
  void put(int64_t, const TensorMap&) override {}
};

// What rounding may make of the model that the first stages leave, whose layers are made once more.
double rounding_behind(size_t stages, const ModelSource& source, const Transform& transform,
                       ConversionData data, const ConversionProgress& progress) {
  FirstStages first(transform, stages);
  NoStore store;
  data.measured = Measured::none;
  ConversionRun run(source, first, data, store, torch::kFloat32, /*probes_rounding=*/true);
  run.run([&](const std::string&, int64_t done, int64_t of) { progress("measuring rounding", done, of); });
  return run.rounding();
}

void require_exact(const ConversionReport& report) {
  for (const auto& stage : report.stages)
    if (moved_too_far(stage))
      throw RunError(
          fmt::format("stage {}: it should change nothing, but moved logits by up to {:.3g} (rounding explains "
                      "{:.1g}): the "
                      "conversion is wrong",
                      stage.name, *stage.max_difference, stage.tolerance));
}

}  // namespace

ConversionReport run_conversion(const ModelSource& source, Transform& transform, const ConversionData& data,
                                ConversionStore& store, torch::ScalarType stored,
                                const ConversionProgress& progress) {
  ConversionReport report;
  {
    ConversionRun run(source, transform, data, store, stored);
    run.run(progress);
    report = run.report();
  }  // its streams leave room for those that measure rounding
  for (size_t s = 0; s < report.stages.size(); ++s)
    if (auto& stage = report.stages[s]; moved_too_far(stage))
      stage.tolerance = std::max(stage.tolerance, rounding_behind(s, source, transform, data, progress));
  require_exact(report);
  return report;
}

}  // namespace attnlab
