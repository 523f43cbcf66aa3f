// How layers of equal-latent attention start from GQA, by calibration inputs: outputs, products of factors,
// what is lost.
#include <set>

#include "attention/gqa.h"
#include "attention/grouped_latent.h"
#include "attention/gta_start.h"
#include "attention/tpa_attention.h"
#include "attention/variant_config.h"
#include "crosscheck/mixer_cases.h"

namespace attnlab {
namespace {

constexpr Allowed kOutputs{.relative = 1e-5}, kProducts{.relative = 1e-4};

// The case's GQA layer and its inputs.
struct Base {
  const CaseFile& file;
  AttentionShape shape;
  GqaWeights weights;
  torch::Tensor x_1TD, calibration_xD;

  explicit Base(const CaseFile& of) : file(of), x_1TD(of.tensor("x_TD").unsqueeze(0)) {
    const auto optional = [&](const char* name) { return of.has(name) ? of.tensor(name) : torch::Tensor(); };
    weights = {.q_weight = of.tensor("gqa/q_proj"),
               .k_weight = of.tensor("gqa/k_proj"),
               .v_weight = of.tensor("gqa/v_proj"),
               .o_weight = of.tensor("gqa/o_proj"),
               .q_bias = optional("gqa/q_bias"),
               .k_bias = optional("gqa/k_bias"),
               .v_bias = optional("gqa/v_bias")};
    shape = {.d_model = weights.q_weight.size(1),
             .n_heads = of.integer("n_heads"),
             .n_kv_heads = of.integer("n_kv_heads"),
             .head_dim = of.integer("head_dim"),
             .qkv_bias = weights.q_bias.defined()};
    if (of.has("calibration_x")) calibration_xD = of.tensor("calibration_x");
  }
  // Of what the calibration inputs make.
  SecondMoment moment() const {
    if (!calibration_xD.defined()) return white_moment;
    return [x = calibration_xD](const torch::Tensor& weight, const torch::Tensor& bias) {
      const auto y =
          torch::linear(x, weight.to(torch::kFloat64), bias.defined() ? bias.to(torch::kFloat64) : bias);
      return torch::matmul(y.t(), y);
    };
  }
  torch::Tensor out(Mixer& module, const TensorMap& tensors, int64_t turning, bool all_at_0) const {
    const torch::NoGradGuard no_grad;
    module.to(torch::kFloat64);
    for (auto& item : module.named_parameters()) item.value().copy_(tensors.at(item.key()));
    const int64_t T = x_1TD.size(1), whole = shape.rotary_dim > 0 ? shape.rotary_dim : shape.head_dim;
    const auto positions = all_at_0 ? torch::zeros({1, T}, torch::kInt64) : torch::arange(T).unsqueeze(0);
    // Every (whole / turning)-th of the base's frequencies.
    const Rotary rotary(turning, file.facts.value("rope_theta", 10000.0), std::nullopt, whole);
    const auto sequence = std::make_shared<const Sequence>(
        SequenceParts{.T = T, .rotary = {rotary.tables(positions, {}, torch::kFloat64)}});
    return module.forward({.x_BTD = x_1TD, .sequence = sequence}).squeeze(0);
  }
  void compare(CaseCheck& check, const std::string& name, const VariantConfig& variant,
               const TensorMap& tensors) const {
    const int64_t turning =
        variant_turning_dim(shape, variant, shape.rotary_dim > 0 ? shape.rotary_dim : shape.head_dim);
    for (const bool at_0 : {false, true}) {
      const std::string what = name + (at_0 ? "/out_position_0" : "/out");
      if (file.has(what))
        check.compare(what, out(*make_mixer(shape, variant), tensors, turning, at_0), file.tensor(what),
                      kOutputs);
    }
  }
};

// The names in front of "/out" that begin with a word, and the number behind it: "tpa_rank" → {"tpa_rank2", 2}.
std::vector<std::pair<std::string, int64_t>> numbered(const CaseFile& file, const std::string& word) {
  std::vector<std::pair<std::string, int64_t>> found;
  for (const auto& name : file.tensors.names())
    if (name.starts_with(word) && name.ends_with("/out")) {
      const auto case_name = name.substr(0, name.find('/'));
      found.emplace_back(case_name, std::stoll(case_name.substr(word.size())));
    }
  return found;
}

void check_tpa_start(const Base& base, CaseCheck& check) {
  for (const auto& [name, rank] : numbered(base.file, "tpa_rank")) {
    const auto& file = base.file;
    const auto of_side = [&](const std::string& side, const torch::Tensor& weight, const torch::Tensor& bias) {
      const auto factors = head_factors(base.shape, weight, bias, rank, base.moment());
      check.compare(name + "_lost_" + side, factors.lost, file.number(name + "_lost_" + side),
                    {.absolute = 1e-6});
      // A B of every head, as rows.
      const auto product = [&](const torch::Tensor& A_NR, const torch::Tensor& B_RHx) {
        return torch::einsum("nr,rhx->nhx", {A_NR, B_RHx});
      };
      auto B = file.tensor(name + "/B_" + side);
      if (bias.defined()) B = torch::cat({B, file.tensor(name + "/B_bias_" + side).unsqueeze(1)}, 1);
      check.compare(name + "/A B of " + side, product(factors.heads_NR, factors.rows_RHx),
                    product(file.tensor(name + "/A_bias_" + side), B.unflatten(0, {rank, -1})), kProducts);
    };
    of_side("k", base.weights.k_weight, base.weights.k_bias);
    of_side("v", base.weights.v_weight, base.weights.v_bias);
    for (const bool contextual : {false, true}) {
      const Tpa::Config config{.rank = rank, .contextual = contextual};
      base.compare(check, name, config, tpa_from_moments(base.shape, config, base.weights, base.moment()));
    }
  }
}

void check_latent_start(const Base& base, CaseCheck& check, const std::string& word) {
  const auto& file = base.file;
  const GatheredRotary rotary{.freqfold = file.integer("freqfold"), .collapse = file.integer("collapse")};
  for (const auto& [name, width] : numbered(file, word)) {
    const auto expected = file.tensor(name + "/down");  // [latents, width, x]
    const int64_t latents = expected.size(0);
    const GroupedLatentForm form{.latents = latents,
                                 .width = width,
                                 .rope = gathered_width(base.shape, rotary),
                                 .up_heads = base.shape.n_kv_heads,
                                 .q_bias = base.shape.qkv_bias,
                                 .kv_a_bias = base.shape.qkv_bias};
    const auto start = grouped_latents(base.shape, form, base.weights, rotary, base.moment());
    const auto lost = file.facts.at(name).at("lost_energy").get<std::vector<double>>();
    for (int64_t j = 0; j < latents; ++j) {
      // Theirs is of the moment with 0.01 · mean(diagonal) on the diagonal.
      const auto all = static_cast<double>(2 * base.shape.n_kv_heads / latents * base.shape.head_dim);
      const double damped_lost =
          (start.lost.at(static_cast<size_t>(j)) + 0.01 * (all - static_cast<double>(width)) / all) / 1.01;
      check.compare(name + " lost_energy", damped_lost, lost.at(static_cast<size_t>(j)), {.absolute = 1e-6});
      const auto rows = start.tensors.at("kv_a_proj_with_mqa.weight").narrow(0, j * width, width);
      const int64_t heads = base.shape.n_kv_heads / latents, H = base.shape.head_dim;
      // Ours head by head, theirs keys of all heads first.
      const auto up = start.tensors.at("kv_b_proj.weight")
                          .narrow(0, j * heads * 2 * H, heads * 2 * H)
                          .unflatten(0, {heads, 2, H})
                          .transpose(0, 1)
                          .flatten(0, 2);
      const auto theirs = torch::matmul(file.tensor(name + "/up")[j], expected[j].narrow(1, 0, rows.size(1)));
      check.compare(name + " up·down", torch::matmul(up, rows), theirs, kProducts);
    }
    const VariantConfig config =
        latents == 1 ? VariantConfig(Gqla::Config{
                           .kv_lora_rank = width, .freqfold = rotary.freqfold, .collapse = rotary.collapse})
                     : VariantConfig(Gla::Config{.latent_heads = latents,
                                                 .latent_width = width,
                                                 .freqfold = rotary.freqfold,
                                                 .collapse = rotary.collapse});
    base.compare(check, name, config, start.tensors);
  }
}

void check_starts(const CaseFile& file, CaseCheck& check) {
  const Base base(file);
  base.compare(check, "gqa", Gqa::Config{}, all_projections(base.weights));
  check_tpa_start(base, check);
  check_latent_start(base, check, "gla_width");
  check_latent_start(base, check, "gqla_width");
  if (!file.has("gta/out")) return;
  const int64_t r = gathered_width(base.shape, {.collapse = file.integer("collapse")});
  const Gta::Config config{.qk_rope_head_dim = r};
  base.compare(check, "gta", config,
               gta_from_moments(base.shape, config, base.weights, base.moment(), file.integer("freqfold")));
}

// A base that has GTA's form already: a part of each head turns, alike in all, and the rest of a key follows
// from its value.
void check_exact_gta(const CaseFile& file, CaseCheck& check) {
  Base base(file);
  base.shape.rotary_dim = file.integer("rope_dim");
  base.compare(check, "gqa", Gqa::Config{}, all_projections(base.weights));
  const Gta::Config config{.qk_rope_head_dim = base.shape.rotary_dim};
  const auto tensors = Gta::from_gqa(base.shape, config, base.weights);
  base.compare(check, "gta", config, tensors);
}

}  // namespace

bool check_start_case(const CaseFile& file, CaseCheck& check) {
  if (!file.has("gqa/q_proj") || !file.has("x_TD")) return false;
  if (file.has("calibration_x")) return check_starts(file, check), true;
  if (file.has("gta/out") && file.facts.contains("rotary_on")) return check_exact_gta(file, check), true;
  return false;
}

}  // namespace attnlab
