// Losses of students and teachers (crosscheck.h): what is computed is what training calls.
#include <fmt/format.h>

#include <cmath>

#include "attention/gqa_weights.h"
#include "attention/mixer.h"
#include "attention/rotary.h"
#include "attention/variant_config.h"
#include "attention/x_ecomla.h"
#include "core/numbers.h"
#include "crosscheck/crosscheck.h"
#include "model/linear_distillation.h"
#include "train/layer_losses.h"
#include "train/preference_loss.h"

namespace attnlab {
namespace {

using torch::Tensor;

// float32 against what float64 gave.
constexpr double kOfFloat32 = 1e-5;
// q ln q - q ln p of logits that differ by tens: each term is rounded at that size, their sum is not.
constexpr double kOfPeakedReverse = 1e-4, kPeaked = 20;

// The number behind a prefix of a name, up to its end or the next '_'.
std::optional<double> number_behind(const std::string& name, const std::string& prefix) {
  const size_t at = name.find(prefix);
  if (at == std::string::npos) return std::nullopt;
  const size_t begin = at + prefix.size();
  return parse_any_number<double>(name.substr(begin, name.find('_', begin) - begin));
}

// Logits of students and teachers at B × T positions, and which of them count.
struct TokenCase {
  Tensor student_PV, teacher_PV;  // all positions, float32; the student's with a gradient
  Tensor counted_C, targets_C;    // indices of those that count, and the labels that follow them
  int64_t rows = 0;

  explicit TokenCase(const CaseFile& file) {
    const auto student = file.tensor("student", torch::kFloat32);
    rows = student.size(0);
    student_PV = student.flatten(0, 1).requires_grad_();
    teacher_PV = file.tensor("teacher", torch::kFloat32).flatten(0, 1);
    const auto next = torch::roll(file.tensor("labels", torch::kInt64), -1, 1).flatten();
    counted_C = file.tensor("counted_positions", torch::kBool).flatten().nonzero().squeeze(1);
    targets_C = next.index_select(0, counted_C);
  }

  // Through the output matrices of training, which are the identity here, in pieces of three positions.
  DistillationSums sums(const Tensor& positions, const Tensor& targets, const DivergenceForm& form,
                        double weight, double teacher_factor = 1) const {
    const auto identity = torch::eye(student_PV.size(1));
    return linear_distillation({student_PV.index_select(0, positions), identity},
                               {teacher_PV.index_select(0, positions) * teacher_factor, identity}, targets,
                               form, weight, /*rows=*/3);
  }
  // The mean over the positions that count.
  Tensor mean(const DivergenceForm& form, double weight = 1) const {
    return sums(counted_C, targets_C, form, weight).objective / static_cast<double>(counted_C.numel());
  }
  // The sum over all positions.
  Tensor everywhere(const DivergenceForm& form, double teacher_factor = 1) const {
    const auto all = torch::arange(student_PV.size(0));
    return sums(all, torch::zeros_like(all), form, 1, teacher_factor).objective;
  }
  bool is_peaked() const {
    return torch::maximum(student_PV.detach().abs(), teacher_PV.abs()).max().item<double>() > kPeaked;
  }
};

double fact_or(const nlohmann::json& facts, const char* key, double otherwise) {
  const auto found = facts.find(key);
  return found != facts.end() && found->is_number() ? found->get<double>() : otherwise;
}

// The loss of a case by its name and facts; nothing for one that is not known.
std::optional<Tensor> token_loss(const TokenCase& data, const std::string& name, const nlohmann::json& facts) {
  DivergenceForm form{.temperature = fact_or(facts, "temperature", 1)};
  if (name.starts_with("forward_kl")) return data.mean(form);
  if (name.starts_with("reverse_kl")) {
    form.loss = Divergence::reverse_kl;
    return data.mean(form);
  }
  if (facts.contains("k") && name.find('_') != std::string::npos) {
    const auto kept = from_name<TopkForm>(name.substr(name.find('_') + 1));
    if (!kept) return std::nullopt;
    form.top_k = static_cast<int64_t>(fact_or(facts, "k", 0));
    form.top_k_form = *kept;
    return data.mean(form);
  }
  if (facts.contains("alpha")) return data.mean(form, fact_or(facts, "alpha", 1));
  if (facts.contains("beta")) {
    form.loss = Divergence::jsd;
    form.beta = fact_or(facts, "beta", 0.5);
    return data.mean(form);
  }
  // AMD's `batchmean` divides the sum over rows and positions by the rows alone.
  if (facts.contains("kl_weight"))
    return data.everywhere(form) * (fact_or(facts, "kl_weight", 0) / static_cast<double>(data.rows)) +
           data.mean(form, /*weight=*/0) * fact_or(facts, "ce_weight", 0);
  // MOHAWK's cross-entropy: the teacher's logits are not divided by τ, and there is no τ².
  if (name.starts_with("mohawk")) {
    form.top_k = data.student_PV.size(1);
    form.top_k_form = TopkForm::cross_entropy;
    const double tau = form.temperature;
    return data.everywhere(form, tau) / (tau * tau * static_cast<double>(data.student_PV.size(0)));
  }
  return std::nullopt;
}

void check_token_loss(const CaseFile& file, const std::string& name, const nlohmann::json& facts,
                      CaseCheck& check) {
  const TokenCase data(file);
  auto loss = token_loss(data, name, facts);
  if (!loss) return check.not_checked("no loss here is known by this name");
  const auto squared = facts.find("times_temperature_squared");
  const bool of_kl = name.starts_with("forward_kl") || name.starts_with("reverse_kl");
  if (of_kl && squared != facts.end() && *squared == false)
    loss = *loss / std::pow(fact_or(facts, "temperature", 1), 2);
  const double allowed = name.starts_with("reverse") && data.is_peaked() ? kOfPeakedReverse : kOfFloat32;
  check.compare("loss", *loss, file.tensor(name + "/loss").squeeze(), {.relative = allowed});
  loss->backward();
  const auto expected = file.tensor(name + "/grad_student");
  check.compare("grad_student", data.student_PV.grad().view_as(expected), expected, {.relative = allowed});
}

// The layers of a tensor [L, ...], each a leaf with a gradient; from `first` on.
Layers layers_of(const CaseFile& file, const std::string& name, int64_t first = 0) {
  const auto whole = file.tensor(name, torch::kFloat32);
  Layers layers;
  for (int64_t i = first; i < whole.size(0); ++i) layers.push_back(whole[i].clone().requires_grad_());
  return layers;
}

struct LayerCase {
  Layers student_hidden, student_mixed, student_matrix, student_rows;
  Layers teacher_hidden, teacher_mixed, teacher_matrix;

  // The first hidden state is what the layers start from.
  explicit LayerCase(const CaseFile& file)
      : student_hidden(layers_of(file, "student_hidden", 1)),
        student_mixed(layers_of(file, "student_mixer_out")),
        student_matrix(layers_of(file, "student_matrix")),
        student_rows(layers_of(file, "student_probabilities")),
        teacher_hidden(layers_of(file, "teacher_hidden", 1)),
        teacher_mixed(layers_of(file, "teacher_mixer_out")),
        teacher_matrix(layers_of(file, "teacher_matrix")) {}

  std::optional<Tensor> loss(const std::string& name) const {
    if (name == "mohawk_matrices") return matrix_distances(student_matrix, teacher_matrix);
    if (name == "mohawk_hidden") return mean_distances(student_hidden, teacher_hidden);
    if (name == "zebra_ild")
      return mean_distances(student_hidden, teacher_hidden) + mean_distances(student_mixed, teacher_mixed);
    const auto factor = number_behind(name, "mse");
    if (!name.starts_with("lolcats_") || !factor) return std::nullopt;
    const auto error = mean_squared_errors(student_mixed, teacher_mixed) * *factor;
    const auto rows = number_behind(name, "xent");
    return rows ? error + row_cross_entropies(student_rows, teacher_matrix) * *rows : error;
  }

  // By the names that gradients have in the file.
  std::vector<std::pair<std::string, const Layers*>> students() const {
    return {{"student_hidden", &student_hidden},
            {"student_mixer_out", &student_mixed},
            {"student_matrix", &student_matrix},
            {"student_probabilities", &student_rows}};
  }
};

void check_layer_loss(const CaseFile& file, const std::string& name, CaseCheck& check) {
  const LayerCase data(file);
  const auto loss = data.loss(name);
  if (!loss) return check.not_checked("no loss of layers here is known by this name");
  check.compare("loss", *loss, file.tensor(name + "/loss").squeeze(), {.relative = kOfFloat32});
  loss->backward();
  for (const auto& [key, layers] : data.students()) {
    const std::string of = "grad_" + key;
    if (!file.has(name + "/" + of)) continue;
    const auto expected = file.tensor(name + "/" + of);
    auto ours = torch::zeros_like(expected);
    const int64_t first = expected.size(0) - static_cast<int64_t>(layers->size());
    for (size_t i = 0; i < layers->size(); ++i)
      if (layers->at(i).grad().defined()) ours[first + static_cast<int64_t>(i)].copy_(layers->at(i).grad());
    check.compare(of, ours, expected, {.relative = kOfFloat32});
  }
}

void check_preference(const CaseFile& file, const std::string& name, CaseCheck& check) {
  const auto beta = number_behind(name, "beta");
  if (!beta) return check.not_checked("its name says no beta");
  const auto tensor = [&](const char* of) { return file.tensor(of, torch::kFloat32); };
  const AnswerPair policy{tensor("policy_chosen").requires_grad_(), tensor("policy_rejected").requires_grad_()};
  const auto loss = preference_loss(policy, {tensor("reference_chosen"), tensor("reference_rejected")}, *beta);
  check.compare("loss", loss, file.tensor(name + "/loss").squeeze(), {.relative = kOfFloat32});
  loss.backward();
  check.compare("grad_policy_chosen", policy.chosen.grad(), file.tensor(name + "/grad_policy_chosen"),
                {.relative = kOfFloat32});
  check.compare("grad_policy_rejected", policy.rejected.grad(), file.tensor(name + "/grad_policy_rejected"),
                {.relative = kOfFloat32});
}

// X-EcoMLA's start: singular vectors have free signs, so products and the layer's output are compared.
void check_x_ecomla(const CaseFile& file, CaseCheck& check) {
  const auto tensor = [&](const char* name) { return file.tensor(std::string("gqa/") + name); };
  const GqaWeights gqa{.q_weight = tensor("q_proj"),
                       .k_weight = tensor("k_proj"),
                       .v_weight = tensor("v_proj"),
                       .o_weight = tensor("o_proj")};
  const AttentionShape shape{.d_model = gqa.q_weight.size(1),
                             .n_heads = file.integer("n_heads"),
                             .n_kv_heads = file.integer("n_kv_heads"),
                             .head_dim = file.integer("head_dim")};
  const XEcomla::Config config{.q_lora_rank = file.integer("q_lora_rank"),
                               .kv_lora_rank = file.integer("kv_lora_rank"),
                               .qk_rope_head_dim = file.integer("qk_rope_head_dim")};
  if (const auto problem = variant_problem(shape, config)) return check.not_checked(describe(*problem));
  if (file.integer("qk_nope_head_dim") + *config.qk_rope_head_dim != shape.head_dim)
    return check.not_checked("its parts are not all of a head");
  if (const auto energy = file.facts.find("energy"); energy != file.facts.end() && energy->is_array()) {
    const auto ranks = ranks_by_energy(gqa, energy->at(0).get<double>(), energy->at(1).get<double>());
    check.expect("q_lora_rank by energy", ranks.queries == *config.q_lora_rank);
    check.expect("kv_lora_rank by energy", ranks.keys_and_values == *config.kv_lora_rank);
  }
  const auto tensors = XEcomla::from_gqa(shape, config, gqa);
  const auto weight = [&](const std::string& name) { return tensors.at(name + ".weight"); };
  const auto down = weight("kv_a_proj_with_mqa");
  check.compare("product/q", torch::matmul(weight("q_b_proj"), weight("q_a_proj")), file.tensor("product/q"),
                {.relative = 1e-4});
  check.compare("product/kv", torch::matmul(weight("kv_b_proj"), down.narrow(0, 0, *config.kv_lora_rank)),
                file.tensor("product/kv"), {.relative = 1e-4});
  const torch::NoGradGuard no_grad;
  const auto mixer = make_mixer(shape, config);
  mixer->to(torch::kFloat64);
  for (auto& item : mixer->named_parameters()) item.value().copy_(tensors.at(item.key()));
  const auto x_BTD = file.tensor("x_BTD");
  const auto places = torch::arange(x_BTD.size(1)).unsqueeze(0);
  const auto sequence = std::make_shared<Sequence>(
      SequenceParts{.T = x_BTD.size(1),
                    .rotary = {rotary_tables(places, *config.qk_rope_head_dim,
                                             fact_or(file.facts, "rope_theta", 10000), torch::kFloat64)}});
  check.compare("out", mixer->forward({.x_BTD = x_BTD, .sequence = sequence}), file.tensor("out"),
                {.relative = 1e-4});
}

// Files whose JSON lists cases, by what their tensors are.
using CheckOfOne = std::function<void(const CaseFile&, const std::string&, const nlohmann::json&, CaseCheck&)>;
CheckOfOne check_for(const CaseFile& file) {
  if (file.has("student") && file.has("teacher")) return check_token_loss;
  if (file.has("student_hidden"))
    return [](const CaseFile& at, const std::string& name, const nlohmann::json&, CaseCheck& check) {
      check_layer_loss(at, name, check);
    };
  if (file.has("policy_chosen"))
    return [](const CaseFile& at, const std::string& name, const nlohmann::json&, CaseCheck& check) {
      check_preference(at, name, check);
    };
  return [](const CaseFile&, const std::string&, const nlohmann::json&, CaseCheck& check) {
    check.not_checked("no check here knows its tensors");
  };
}

}  // namespace

void check_distill(const std::filesystem::path& folder, const CaseSink& done) {
  for (const auto& file : find_case_files(folder)) {
    const auto cases = file.facts.find("cases");
    if (cases == file.facts.end() || !cases->is_object()) {
      done(check_case(file.name, [&](CaseCheck& check) {
        if (file.has("gqa/q_proj") && file.has("product/q")) return check_x_ecomla(file, check);
        check.not_checked("no check here knows its tensors");
      }));
      continue;
    }
    const auto check_one = check_for(file);
    for (const auto& [name, facts] : cases->items())
      done(check_case(file.name + "/" + name, [&](CaseCheck& check) { check_one(file, name, facts, check); }));
  }
}

}  // namespace attnlab
