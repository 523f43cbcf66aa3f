#include "model/mlp.h"

#include <torch/nn/modules/container/modulelist.h>

#include "kernels/fused.h"

namespace attnlab {

GatedMlp::GatedMlp(int64_t d_model, int64_t d_ff, bool gelu, const Names& names, bool with_bias)
    : gelu_(gelu),
      gate_(register_module(names[0], Linear(d_model, d_ff, with_bias))),
      up_(register_module(names[1], Linear(d_model, d_ff, with_bias))),
      down_(register_module(names[2], Linear(d_ff, d_model, with_bias))) {}

torch::Tensor GatedMlp::forward(const torch::Tensor& x) {
  const auto gate = gate_(x);
  return down_(gelu_ ? at::gelu(gate, "tanh") * up_(x) : gated_silu(gate, up_(x)));
}

double GatedMlp::forward_flops_per_token() const {
  return 2.0 * static_cast<double>(gate_->weight.numel() + up_->weight.numel() + down_->weight.numel());
}

MoeMlp::MoeMlp(const DecoderConfig& config)
    : chosen_(config.experts_per_token),
      gate_(register_module("gate", Linear(config.d_model, config.n_experts))) {
  const auto list = register_module("experts", torch::nn::ModuleList());
  const bool gelu = traits_of(config.family).gelu;
  for (int64_t e = 0; e < config.n_experts; ++e) {
    experts_.push_back(std::make_shared<GatedMlp>(config.d_model, config.d_ff, gelu, GatedMlp::kMixtralNames));
    list->push_back(experts_.back());
  }
}

// Tokens are put in the order of their experts (M = tokens · k rows), so that each expert reads its rows as one
// piece and the sum goes back by one index_add.
torch::Tensor MoeMlp::forward(const torch::Tensor& x) {
  const auto x_MD = x.flatten(0, -2);
  const auto shares_ME = torch::softmax(gate_(x_MD).to(torch::kFloat32), -1);
  const auto [top_Mk, expert_Mk] = torch::topk(shares_ME, chosen_, -1);
  const auto weight_Mk = top_Mk / top_Mk.sum(-1, true);

  const auto order = torch::argsort(expert_Mk.flatten(), /*stable=*/true, -1, false);
  const auto token_R = torch::floor_divide(order, chosen_);
  const auto counts = torch::bincount(expert_Mk.flatten(), {}, gate_->weight.size(0)).to(torch::kCPU);
  const auto rows_RD = x_MD.index_select(0, token_R);
  std::vector<torch::Tensor> outputs;
  int64_t begin = 0;
  for (size_t e = 0; e < experts_.size(); ++e) {
    const int64_t rows = counts.const_data_ptr<int64_t>()[e];
    if (rows > 0) outputs.push_back(experts_[e]->forward(rows_RD.narrow(0, begin, rows)));
    begin += rows;
  }
  const auto weight_R1 = weight_Mk.flatten().index_select(0, order).unsqueeze(1).to(x.scalar_type());
  const auto out_RD = torch::cat(outputs, 0).to(x.scalar_type()) * weight_R1;
  return torch::zeros_like(x_MD).index_add(0, token_R, out_RD).view(x.sizes());
}

double MoeMlp::forward_flops_per_token() const {
  return 2.0 * static_cast<double>(gate_->weight.numel()) +
         static_cast<double>(chosen_) * experts_.front()->forward_flops_per_token();
}

std::shared_ptr<Mlp> register_mlp(torch::nn::Module& layer, const DecoderConfig& config) {
  if (config.n_experts > 0) return layer.register_module("block_sparse_moe", std::make_shared<MoeMlp>(config));
  return layer.register_module(
      "mlp", std::make_shared<GatedMlp>(config.d_model, config.d_ff, traits_of(config.family).gelu,
                                        GatedMlp::kLlamaNames, config.mlp_bias));
}

}  // namespace attnlab
