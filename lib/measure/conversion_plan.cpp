#include "measure/conversion_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "attention/mla_deepseek.h"
#include "config/node.h"
#include "core/names.h"
#include "model/variant_options.h"

namespace attnlab {
namespace {

// A transform without its last stages.
class FirstStages final : public Transform {
 public:
  FirstStages(std::unique_ptr<Transform> whole, const std::string& last) : whole_(std::move(whole)) {
    for (const auto& stage : whole_->stages()) {
      stages_.push_back(stage);
      if (stage.name == last) return;
    }
    ATTNLAB_CHECK(!"a stage of the transform");
  }
  const std::vector<Stage>& stages() const override { return stages_; }
  int64_t numbers_to_estimate() const override { return whole_->numbers_to_estimate(); }
  void prepare(const ModelSource& source, const ConversionData& data,
               const ConversionProgress& progress) override {
    whole_->prepare(source, data, progress);
  }
  std::vector<ConversionStep> settled() const override { return whole_->settled(); }

 private:
  std::unique_ptr<Transform> whole_;
  std::vector<Stage> stages_;
};

[[noreturn]] void refuse(const char* option, int64_t found, const std::string& expected) {
  throw InputError(BadInput{.file = option, .found = fmt::format("'{}'", found), .expected = expected});
}

std::string setting(const char* key, int64_t value) { return fmt::format("{}={}", key, value); }

void add_stages(std::vector<PlannedConversion>& plan, const ConversionGrid& grid, int64_t freqfold) {
  plan.push_back({.form = "mla_deepseek",
                  .settings = {setting("freqfold", freqfold),
                               setting("kv_lora_rank", grid.ranks[grid.ranks.size() / 2])}});
}

void add_folds(std::vector<PlannedConversion>& plan, const AttentionShape& shape, const ConversionGrid& grid) {
  for (const int64_t collapse : grid.collapses)
    for (const int64_t m : grid.freqfolds) {
      if (m % collapse != 0) continue;
      const double share = 1 / static_cast<double>(shape.n_kv_heads * collapse);
      plan.push_back({.form = "mla_deepseek",
                      .settings = {setting("freqfold", m), setting("collapse", collapse)},
                      .stages = {"remove_rope"},
                      .options = fmt::format("rotary_share={:.6g}", share)});
    }
}

void add_ranks(std::vector<PlannedConversion>& plan, const ConversionGrid& grid, int64_t freqfold) {
  for (const int64_t rank : grid.ranks)
    for (const char* pca : {"activation", "weight"})
      for (const char* balance : {"true", "false"}) {
        const auto kv_pca = fmt::format("kv_pca={}", pca), balanced = fmt::format("balance={}", balance);
        plan.push_back(
            {.form = "mla_deepseek",
             .settings = {setting("freqfold", freqfold), setting("kv_lora_rank", rank), kv_pca, balanced},
             .stages = {"compress"},
             .options = kv_pca + " " + balanced});
      }
}

// The options that differ from the form's defaults, as settings.
std::vector<std::string> settings_of(const std::string& form, const VariantConfig& variant) {
  const FlatFields defaults = variant_fields(*variant_defaults(form));
  std::vector<std::string> settings;
  for (const auto& field : variant_fields(variant))
    if (std::find(defaults.begin(), defaults.end(), field) == defaults.end())
      settings.push_back(fmt::format("{}={}", field.first, to_text(field.second)));
  return settings;
}

// Beside mla_deepseek.
std::vector<std::string> possible_forms(const AttentionShape& shape) {
  const auto possible = variant_names_for(shape);
  std::vector<std::string> forms;
  for (const auto& form : transform_names())
    if (form != MlaDeepseek::kName && std::count(possible.begin(), possible.end(), form) > 0)
      forms.push_back(form);
  return forms;
}

// With the whole cache and, where a form has the choice, with half of it.
void add_forms(std::vector<PlannedConversion>& plan, const AttentionShape& shape, const ConversionGrid& grid) {
  for (const auto& form : grid.forms) {
    plan.push_back({.form = form});
    const auto half = variant_with_cache(form, shape, shape.n_kv_heads * shape.head_dim);
    if (!half || variant_problem(shape, *half)) continue;
    const auto settings = settings_of(form, *half);
    plan.push_back({.form = form, .settings = settings, .options = join(settings, " ")});
  }
}

}  // namespace

ConversionGrid complete_grid(ConversionGrid grid, const AttentionShape& shape) {
  const int64_t H = shape.head_dim, half = H / 2, keys = shape.n_kv_heads * H;
  const int64_t full = full_kv_rank(shape, MlaDeepseek::Config{});
  if (grid.ranks.empty()) {
    for (int64_t part = 1; part <= 6; ++part) grid.ranks.push_back(std::max<int64_t>(1, full * part / 6));
    if (keys > H) grid.ranks.push_back(keys - H);
    std::sort(grid.ranks.begin(), grid.ranks.end());
    grid.ranks.erase(std::unique(grid.ranks.begin(), grid.ranks.end()), grid.ranks.end());
  }
  for (const int64_t rank : grid.ranks)
    if (rank > full) refuse("--ranks", rank, fmt::format("at most {}, which loses nothing", full));
  if (grid.freqfolds.empty())
    for (int64_t m = 1; m <= half && half % m == 0; m *= 2) grid.freqfolds.push_back(m);
  for (const int64_t m : grid.freqfolds)
    if (half % m != 0) refuse("--freqfolds", m, fmt::format("a divisor of head_dim / 2 = {}", half));
  for (const int64_t collapse : {1, 2, 4})
    if (half % collapse == 0) grid.collapses.push_back(collapse);
  const auto forms = possible_forms(shape);
  if (grid.forms.empty()) grid.forms = forms;
  for (const auto& form : grid.forms)
    if (std::count(forms.begin(), forms.end(), form) == 0)
      throw InputError(BadInput{.file = "--forms",
                                .found = "'" + form + "'",
                                .expected = "one of " + join(forms),
                                .nearest = nearest_name(form, forms)});
  return grid;
}

std::vector<PlannedConversion> plan_conversions(const AttentionShape& shape, const ConversionGrid& grid,
                                                int64_t freqfold) {
  std::vector<PlannedConversion> plan;
  add_stages(plan, grid, freqfold);
  add_folds(plan, shape, grid);
  add_ranks(plan, grid, freqfold);
  add_forms(plan, shape, grid);
  return plan;
}

std::unique_ptr<Transform> make_planned(const DecoderConfig& base, const PlannedConversion& planned) {
  Node root{.kind = Node::Kind::map, .file = planned.form};
  for (const auto& text : planned.settings) {
    const auto [path, value] = parse_setting(planned.form, text);
    set_path(root, path, value);
  }
  const auto variant = with_options(*variant_defaults(planned.form), root);
  auto transform = make_transform(base, variant, {.exported = planned.stages.empty()});
  if (planned.stages.empty()) return transform;
  return std::make_unique<FirstStages>(std::move(transform), planned.stages.back());
}

}  // namespace attnlab
