// transformers' quantised caches, which code all that they hold anew whenever the newest tokens fill their
// room. They are no storage here: groups run over the memory order [G, S, H], over tokens and heads alike.
#include <fmt/format.h>

#include "crosscheck/check_cache.h"
#include "state/quantise.h"

namespace attnlab {
namespace {

struct Form {
  bool hqq = false;
  int64_t bits = 2, axis = 0, group = 32, residual = 32, prompt = 0;
};

Form form_of(const CaseFile& file) {
  const auto& params = file.facts.at("params");
  return {.hqq = file.facts.value("source", "").find("HQQ") != std::string::npos,
          .bits = params.at("bits"),
          .axis = params.at("axis"),
          .group = params.at("group_size"),
          .residual = params.at("residual_length"),
          .prompt = params.at("prompt")};
}

// Half-quadratic quantisation (hqq): codes ⌊x s + z⌉ with s = levels / (max - min), z improved in up to 20
// steps, as long as the mean error falls: e is the error shrunk towards few large ones, z the mean of codes -
// (x - e) s.
struct Hqq {
  torch::Tensor codes, inverse_scale, zero;
  torch::Tensor read() const { return (codes - zero) / inverse_scale; }
};
Hqq quantise_hqq(const torch::Tensor& x, int64_t bits, int64_t axis) {
  constexpr double kBeta = 10, kNorm = 0.7;
  const auto levels = static_cast<double>((1 << bits) - 1);
  const auto least = x.amin(axis, true), s = levels / (x.amax(axis, true) - least);
  auto zero = -least * s;
  const auto coded = [&](const torch::Tensor& z) { return (x * s + z).round().clamp(0, levels); };
  auto best = zero;
  double smallest = 1e4;
  for (int step = 0; step < 20; ++step) {
    const auto codes = coded(zero), error = x - (codes - zero) / s, size = error.abs();
    const auto shrunk = error.sign() * (size - size.pow(kNorm - 1) / kBeta).clamp_min(0);
    zero = (codes - (x - shrunk) * s).mean(axis, true);
    const double mean = size.mean().item<double>();
    if (!(mean < smallest)) break;
    smallest = mean, best = zero;
  }
  return {coded(best), s, best};
}

torch::Tensor in_groups(const torch::Tensor& x, const Form& form) {
  return form.hqq && form.axis == 0 ? x.reshape({form.group, -1}) : x.reshape({-1, form.group});
}

// What is read of numbers that were coded together.
torch::Tensor coded_and_read(const torch::Tensor& x_GSH, const Form& form) {
  const auto groups = in_groups(x_GSH.contiguous(), form);
  const auto read = form.hqq ? quantise_hqq(groups, form.bits, form.axis).read()
                             : read_affine(quantise_affine(groups, form.bits, form.group), torch::kFloat32);
  return read.reshape(x_GSH.sizes());
}

void check_slot(const CaseFile& file, CaseCheck& check, const std::string& name, const Form& form) {
  const auto x_GSH = file.tensor(name, torch::kFloat32);
  const int64_t S = x_GSH.size(1);
  const Allowed read_allowed{.relative = form.hqq ? 1e-3 : 1e-5};
  auto coded = coded_and_read(x_GSH.narrow(1, 0, form.prompt), form);
  check.compare(name + "_prompt_dequantised", coded, file.tensor(name + "_prompt_dequantised"), read_allowed);
  if (form.hqq && file.has(name + "_scale")) {
    const auto ours =
        quantise_hqq(in_groups(x_GSH.narrow(1, 0, form.prompt).contiguous(), form), form.bits, form.axis);
    check.compare(name + "_scale", 1 / ours.inverse_scale, file.tensor(name + "_scale"), {.relative = 1e-6});
    check.compare(name + "_zero", ours.zero, file.tensor(name + "_zero"), {.relative = 1e-3});
  }
  std::vector<int64_t> waiting;
  int64_t held = 0;  // tokens as they came
  torch::Tensor read;
  for (int64_t t = form.prompt; t < S; ++t) {
    read = torch::cat({coded, x_GSH.narrow(1, t - held, held + 1)}, 1);
    ++held;
    if (held >= form.residual) coded = coded_and_read(read, form), held = 0;
    waiting.push_back(held);
  }
  const auto expected = file.facts.find("full_precision_tokens_after_each_append");
  if (expected != file.facts.end())
    check.equal("tokens as they came", torch::tensor(waiting),
                torch::tensor(expected->get<std::vector<int64_t>>()));
  // Coding anew what was read lets a number that lies on a code's edge fall to either side.
  const auto theirs = file.tensor(name + "_read");
  const auto far = (read - theirs).abs() > read_allowed.relative * theirs.abs().max();
  check.equal(name + "_read", far, torch::zeros_like(far), 0.002);
}

}  // namespace

void check_transformers_cache(const CaseFile& file, CaseCheck& check) {
  for (const char* name : {"k", "v"}) check_slot(file, check, name, form_of(file));
}

}  // namespace attnlab
