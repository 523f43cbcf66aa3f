#include "crosscheck/mixer_cases.h"

#include <algorithm>

#include "attention/rotary.h"

namespace attnlab {

const torch::Tensor& Leaves::operator[](const std::string& name) {
  auto& leaf = leaves_[name];
  if (!leaf.defined()) leaf = file_.tensor(name).requires_grad_();
  return leaf;
}

void Leaves::compare(CaseCheck& check, const torch::Tensor& out, Allowed of_out, Allowed of_gradients) {
  check.compare("out", out, file_.tensor("out"), of_out);
  (out * file_.tensor("cotangent")).sum().backward();
  for (const auto& [name, leaf] : leaves_) {
    const std::string gradient = "grad/" + name;
    if (!file_.has(gradient)) continue;
    check.expect("a gradient of " + name, leaf.grad().defined());
    if (leaf.grad().defined()) check.compare(gradient, leaf.grad(), file_.tensor(gradient), of_gradients);
  }
}

Allowed allowed_beside_float32(const CaseFile& file, const std::string& fact, double relative) {
  const auto& facts = file.facts;
  const auto stated = facts.find("float32_minus_float64");
  if (stated == facts.end() || !stated->contains(fact)) return {.relative = relative};
  double off = (*stated)[fact].get<double>();
  // Outputs' are stated as they are, gradients' as a share of the largest.
  if (fact == "out" && stated->contains("out_largest")) off /= (*stated)["out_largest"].get<double>();
  return {.relative = std::max(relative, 10 * off)};
}

std::shared_ptr<const Sequence> whole_sequence(int64_t T, int64_t rotary_dim, double theta) {
  SequenceParts parts{.T = T};
  if (rotary_dim > 0)
    parts.rotary.push_back(rotary_tables(torch::arange(T).unsqueeze(0), rotary_dim, theta, torch::kFloat64));
  return std::make_shared<const Sequence>(std::move(parts));
}

void load_parameters(torch::nn::Module& module, const CaseFile& file, const NameOf& name_of) {
  const torch::NoGradGuard no_grad;
  module.to(torch::kFloat64);
  for (auto& item : module.named_parameters())
    item.value().copy_(file.tensor(name_of(item.key())).view_as(item.value()));
}

void compare_module(CaseCheck& check, torch::nn::Module& module, const CaseFile& file, const NameOf& name_of,
                    const torch::Tensor& x, const torch::Tensor& out) {
  check.compare("out", out, file.tensor("out"), {.relative = 2e-5});
  if (!file.has("cotangent")) return;
  (out * file.tensor("cotangent")).sum().backward();
  if (file.has("grad/x_BTD"))
    check.compare("grad/x_BTD", x.grad(), file.tensor("grad/x_BTD"), {.relative = 1e-4});
  for (const auto& item : module.named_parameters()) {
    const auto name = "grad/" + name_of(item.key());
    if (!file.has(name)) continue;
    check.compare(name, item.value().grad().view_as(file.tensor(name)), file.tensor(name), {.relative = 1e-4});
  }
}

}  // namespace attnlab
