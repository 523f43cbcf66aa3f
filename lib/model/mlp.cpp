#include "model/mlp.h"

#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/nn/modules/container/modulelist.h>

#include <algorithm>
#include <cmath>

#include "attention/product_type.h"
#include "core/errors.h"
#include "kernels/fused.h"
#include "kernels/grouped.h"
#include "model/channel_mixing.h"
#include "model/grouped_experts.h"

namespace attnlab {

GatedMlp::GatedMlp(int64_t d_model, int64_t d_ff, bool gelu, const Names& names, bool with_bias, int64_t d_out)
    : gelu_(gelu),
      gate_(register_module(names[0], Linear(d_model, d_ff, with_bias))),
      up_(register_module(names[1], Linear(d_model, d_ff, with_bias))),
      down_(register_module(names[2], Linear(d_ff, d_out > 0 ? d_out : d_model, with_bias))),
      gate_and_up_({gate_, up_}) {}

torch::Tensor GatedMlp::forward(const torch::Tensor& x) {
  if (!gelu_)
    if (const auto both = gate_and_up_.joined(x); both.defined()) return down_(gated_silu_of_halves(both));
  const auto parts = gate_and_up_.forward(x);
  return down_(gelu_ ? at::gelu(parts[0], "tanh") * parts[1] : gated_silu(parts[0], parts[1]));
}

std::vector<SharedInput*> GatedMlp::shared_inputs() {
  return among_experts_ ? std::vector<SharedInput*>{} : std::vector{&gate_and_up_};
}

double GatedMlp::forward_flops_per_token() const {
  return 2.0 *
         static_cast<double>(gate_->in() * gate_->out() + up_->in() * up_->out() + down_->in() * down_->out());
}

Router::Router(int64_t d_model, const MoeShape& moe, bool in_float32)
    : moe_(moe),
      in_float32_(in_float32),
      weight_(register_parameter("weight", empty_parameter({moe.n_experts, d_model}))) {
  // A parameter, so that it is saved, loaded and moved with the others.
  if (moe.score == RouterScore::sigmoid)
    bias_ = register_parameter("e_score_correction_bias", empty_parameter({moe.n_experts}),
                               /*requires_grad=*/false);
}

void Router::to(torch::Device device, torch::Dtype dtype, bool non_blocking) {
  Module::to(device, in_float32_ ? c10::promoteTypes(dtype, torch::kFloat32) : dtype, non_blocking);
}

void Router::to(torch::Dtype dtype, bool non_blocking) {
  Module::to(in_float32_ ? c10::promoteTypes(dtype, torch::kFloat32) : dtype, non_blocking);
}

torch::Tensor Router::logits(const torch::Tensor& x_MD) const {
  const auto wide = c10::promoteTypes(x_MD.scalar_type(), torch::kFloat32);
  if (!in_float32_) return torch::linear(x_MD, weight_).to(wide);
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  return torch::linear(x_MD.to(wide), weight_.to(wide));
}

torch::Tensor Router::chosen_experts(const torch::Tensor& scores_ME) const {
  const torch::NoGradGuard no_grad;
  auto choice_ME = bias_.defined() ? scores_ME + bias_ : scores_ME;
  if (moe_.groups_per_token < moe_.n_groups) {
    const auto choice_MNe = choice_ME.unflatten(-1, {moe_.n_groups, moe_.experts_per_group()});
    const auto group_MN = moe_.score == RouterScore::sigmoid
                              ? std::get<0>(torch::topk(choice_MNe, 2, -1)).sum(-1)
                              : choice_MNe.amax(-1);
    const auto best = std::get<1>(torch::topk(group_MN, moe_.groups_per_token, -1));
    const auto left_out_MN = torch::ones_like(group_MN, torch::kBool).scatter(-1, best, false);
    choice_ME = choice_MNe.masked_fill(left_out_MN.unsqueeze(-1), -INFINITY).flatten(-2);
  }
  return std::get<1>(torch::topk(choice_ME, moe_.experts_per_token, -1));
}

Router::Choice Router::forward(const torch::Tensor& x_MD) {
  const auto logits_ME = logits(x_MD);
  const auto scores_ME =
      moe_.score == RouterScore::sigmoid ? torch::sigmoid(logits_ME) : torch::softmax(logits_ME, -1);
  const auto expert_Mk = chosen_experts(scores_ME);
  auto weight_Mk = chosen_scores(scores_ME, expert_Mk);
  if (moe_.normalised) weight_Mk = weight_Mk / (weight_Mk.sum(-1, true) + 1e-20);  // DeepSeek's own guard
  if (moe_.scale != 1) weight_Mk = weight_Mk * moe_.scale;
  return {expert_Mk, weight_Mk};
}

MoeMlp::MoeMlp(const DecoderConfig& config, int64_t width)
    : moe_(config.moe.value()), gelu_(traits_of(config.family).gelu) {
  const FamilyTraits& traits = traits_of(config.family);
  const auto& names = config.family == Family::mixtral ? GatedMlp::kMixtralNames : GatedMlp::kLlamaNames;
  gate_ = register_module("gate", std::make_shared<Router>(width, moe_, traits.float32_router));
  const auto list = register_module("experts", torch::nn::ModuleList());
  for (int64_t e = 0; e < moe_.n_experts; ++e) {
    experts_.push_back(std::make_shared<GatedMlp>(width, moe_.d_ff, traits.gelu, names));
    experts_.back()->place_among_experts();
    list->push_back(experts_.back());
  }
  if (moe_.n_shared > 0)
    shared_ = register_module("shared_experts",
                              std::make_shared<GatedMlp>(width, moe_.n_shared * moe_.d_ff, traits.gelu, names));
}

torch::Tensor MoeMlp::forward(const torch::Tensor& x) {
  const auto x_MD = x.flatten(0, -2);
  const auto choice = gate_->forward(x_MD);
  const auto computed = product_type(x);
  const bool groups = x.is_cuda() && !LinearTap::listens() && !reads_device(x.device(), computed);
  return with_shared(x, groups ? in_groups(x_MD, choice, computed) : one_by_one(x_MD, choice));
}

torch::Tensor MoeMlp::forward_in_groups(const torch::Tensor& x) {
  const auto x_MD = x.flatten(0, -2);
  return with_shared(x, in_groups(x_MD, gate_->forward(x_MD), x.scalar_type()));
}

torch::Tensor MoeMlp::with_shared(const torch::Tensor& x, const torch::Tensor& routed_MD) {
  const auto routed = routed_MD.view(x.sizes());
  return shared_ ? routed + shared_->forward(x) : routed;
}

bool MoeMlp::reads_device(torch::Device device, torch::ScalarType computed) const {
  if (!device.is_cuda()) return false;  // there is nobody to wait for
  constexpr int64_t pack = 8;
  const auto plain = [](const LinearImpl* linear) {
    return !linear->is_packed() && !linear->input_mask.defined() && linear->in() % pack == 0 &&
           linear->out() % pack == 0;
  };
  if (!has_grouped_products(device, computed)) return true;
  return !std::all_of(experts_.begin(), experts_.end(), [&](const auto& expert) {
    const auto linears = expert->linears();
    return std::all_of(linears.begin(), linears.end(), plain);
  });
}

std::vector<torch::Tensor> MoeMlp::matrices(size_t place) const {
  std::vector<torch::Tensor> out;
  for (const auto& expert : experts_) out.push_back(expert->linears()[place]->weight);
  return out;
}

torch::Tensor MoeMlp::in_groups(const torch::Tensor& x_MD, const Router::Choice& choice,
                                torch::ScalarType computed) {
  const ExpertMatrices all{.gate = matrices(0), .up = matrices(1), .down = matrices(2)};
  for (const auto* weights : {&all.gate, &all.up, &all.down}) stack_in_place(*weights);
  return grouped_experts(x_MD.to(computed), choice.expert_Mk, choice.weight_Mk, all, gelu_)
      .to(x_MD.scalar_type());
}

// Tokens are put in the order of their experts (R = tokens · k rows), so that each expert reads its rows as one
// piece and the sum goes back by one index_add.
torch::Tensor MoeMlp::one_by_one(const torch::Tensor& x_MD, const Router::Choice& choice) {
  const auto& [expert_Mk, weight_Mk] = choice;
  const auto order = torch::argsort(expert_Mk.flatten(), /*stable=*/true, -1, false);
  const auto token_R = torch::floor_divide(order, moe_.experts_per_token);
  const auto counts = torch::bincount(expert_Mk.flatten(), {}, moe_.n_experts).to(torch::kCPU);
  const auto rows_RD = x_MD.index_select(0, token_R);
  std::vector<torch::Tensor> outputs;
  int64_t begin = 0;
  for (size_t e = 0; e < experts_.size(); ++e) {
    const int64_t rows = counts.const_data_ptr<int64_t>()[e];
    if (rows > 0) outputs.push_back(experts_[e]->forward(rows_RD.narrow(0, begin, rows)));
    begin += rows;
  }
  const auto weight_R1 = weight_Mk.flatten().index_select(0, order).unsqueeze(1);
  const auto out_RD = (torch::cat(outputs, 0) * weight_R1).to(x_MD.scalar_type());
  return torch::zeros_like(x_MD).index_add(0, token_R, out_RD);
}

double MoeMlp::forward_flops_per_token() const {
  double flops = 2.0 * static_cast<double>(gate_->parameters().front().numel());
  if (shared_) flops += shared_->forward_flops_per_token();
  return flops + static_cast<double>(moe_.experts_per_token) * experts_.front()->forward_flops_per_token();
}

std::vector<std::string> MoeMlp::fixed_parameters() const {
  return gate_->has_bias() ? std::vector<std::string>{"gate.e_score_correction_bias"}
                           : std::vector<std::string>{};
}

NamedMlp make_mlp(const ModelForm& form, int64_t layer) {
  const DecoderConfig& config = form.config;
  const FamilyTraits& traits = traits_of(config.family);
  const int64_t width = form.stream_width();
  if (!traits.has_mlp) return {};
  if (traits.channel_mixing) return {"mlp", std::make_shared<ChannelMixing>(config.d_model, config.d_ff)};
  if (config.has_experts(layer)) {
    ATTNLAB_CHECK(form.width_after(layer) == width);  // experts' outputs are summed in place of their inputs
    return {config.family == Family::mixtral ? "block_sparse_moe" : "mlp",
            std::make_shared<MoeMlp>(config, width)};
  }
  return {"mlp", std::make_shared<GatedMlp>(width, config.d_ff, traits.gelu, GatedMlp::kLlamaNames,
                                            config.mlp_bias, form.width_after(layer))};
}

}  // namespace attnlab
