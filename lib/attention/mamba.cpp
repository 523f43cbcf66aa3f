#include "attention/mamba.h"

#include <cmath>

#include "attention/attention.h"
#include "attention/gated_input.h"
#include "attention/mixer_parts.h"
#include "attention/selective_scan.h"

namespace attnlab {
namespace {

int64_t step_rank(const AttentionShape& shape, const Mamba::Config& config) {
  return config.dt_rank.value_or((shape.d_model + 15) / 16);
}

class MambaMixer final : public Mixer {
 public:
  MambaMixer(const AttentionShape& shape, const Mamba::Config& config) : Mixer(shape), K_(config.conv_kernel) {
    const int64_t D = shape.d_model, W = shape.n_heads * shape.head_dim, kv = shape.n_kv_heads * shape.head_dim;
    q_proj_ = register_module("q_proj", Linear(D, W, shape.qkv_bias));
    k_proj_ = register_module("k_proj", Linear(D, kv, shape.qkv_bias));
    v_proj_ = register_module("v_proj", Linear(D, kv, shape.qkv_bias));
    o_proj_ = register_module("o_proj", Linear(W, D, shape.o_bias));
    z_proj_ = register_module("z_proj", Linear(D, W, true));
    dt_in_proj_ = register_module("dt_in_proj", Linear(D, step_rank(shape, config)));
    dt_proj_ = register_module("dt_proj", Linear(step_rank(shape, config), W, true));
    conv_weight_ = register_parameter("conv_weight", empty_parameter({kv, K_}));
    conv_bias_ = register_parameter("conv_bias", empty_parameter({kv}));
    A_log_ = register_parameter("A_log", empty_parameter({W, shape.head_dim}));
    D_ = register_parameter("D", empty_parameter({W}));
  }

  StateLayout state_layout() const override {
    const int64_t N = shape_.n_heads, H = shape_.head_dim;
    StateLayout layout{{.name = "state", .width = N * H * H, .heads = N, .extent = Extent::fixed}};
    if (K_ > 1)
      layout.push_back({.name = "conv",
                        .width = (K_ - 1) * shape_.n_kv_heads * H,
                        .heads = K_ - 1,
                        .extent = Extent::fixed});
    return layout;
  }
  // Beside the matrices, decay, write and read of each state number.
  double forward_flops_per_token(int64_t) const override {
    return matrix_flops() + 6.0 * static_cast<double>(shape_.n_heads * shape_.head_dim * shape_.head_dim);
  }
  std::vector<std::string> query_and_output_parts() const override { return {"q_proj", "z_proj", "o_proj"}; }

 protected:
  torch::Tensor mix(const MixerInput& input) override {
    const auto segments = Segments::of(*input.sequence);
    const auto& u = input.x_BTD;
    const int64_t N = shape_.n_heads, H = shape_.head_dim;
    const auto v = v_proj_(u), k = k_proj_(u), q = q_proj_(u), z = z_proj_(u);
    const auto dt_in = dt_in_proj_(u);
    torch::Tensor y_BTW;
    {
      const FullPrecision full;
      const auto dt_BTW =
          torch::linear(in_full(dt_in), in_full(dt_proj_->matrix(torch::kFloat32)), in_full(dt_proj_->bias));
      SelectiveScan scan{.x_BGTP = split_heads(convolved(v, input, segments), shape_.n_kv_heads),
                         .step_BNTP = {},
                         .A_NPS = -in_full(A_log_).exp().view({N, H, H}),
                         .B_BGTS = split_heads(k, shape_.n_kv_heads),
                         .C_BNTS = split_heads(q, N),
                         .D_NP = in_full(D_).view({N, H}),
                         .ids_BT = segments.ids_BT,
                         .state_BNPS = {}};
      set_step(scan, split_heads(dt_BTW, N), segments);
      if (input.state) scan.state_BNPS = input.state->fixed(0).unflatten(2, {H, H});
      const auto out = selective_scan(scan);
      if (input.state) input.state->replace(0, out.state_BNPS.flatten(2));
      y_BTW = merge_heads(out.y_BNTP);
    }
    return o_proj_(gated_input(o_proj_, y_BTW, z, input.x_BTD));
  }

 private:
  torch::Tensor convolved(const torch::Tensor& v_BTW, const MixerInput& input, const Segments& segments) {
    const bool keeps = input.state && K_ > 1;
    const auto conv = short_convolution(segments.only_valid(v_BTW), in_full(conv_weight_), in_full(conv_bias_),
                                        keeps ? input.state->fixed(1) : torch::Tensor(), segments);
    if (keeps) input.state->replace(1, conv.last_BKC);
    return torch::silu(conv.y_BTC);
  }

  int64_t K_;
  Linear q_proj_{nullptr}, k_proj_{nullptr}, v_proj_{nullptr}, o_proj_{nullptr}, z_proj_{nullptr},
      dt_in_proj_{nullptr}, dt_proj_{nullptr};
  torch::Tensor conv_weight_, conv_bias_, A_log_, D_;
};

}  // namespace

std::optional<BadInput> Mamba::problem(const AttentionShape& shape, const Config&) {
  return state_base_problem(shape, false);
}

std::shared_ptr<Mixer> Mamba::make(const AttentionShape& shape, const Config& config) {
  return std::make_shared<MambaMixer>(shape, config);
}

TensorMap Mamba::from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa) {
  TensorMap out = all_projections(gqa);
  take_up_rotary_factor(shape, out);
  const auto options = gqa.q_weight.options();
  const int64_t D = shape.d_model, H = shape.head_dim, W = shape.n_heads * H, kv = shape.n_kv_heads * H;
  const int64_t rank = step_rank(shape, config);
  out["conv_weight"] = torch::zeros({kv, config.conv_kernel}, options);
  out["conv_weight"].select(1, config.conv_kernel - 1).fill_(1);
  out["conv_bias"] = torch::zeros({kv}, options);
  out["z_proj.weight"] = torch::zeros({W, D}, options);
  out["z_proj.bias"] = torch::full({W}, kOpenSilu, options);
  const auto noise = [&](int64_t rows, int64_t columns, const char* name) {
    return start_noise({rows, columns}, 1 / std::sqrt(static_cast<double>(columns)), name, shape.layer)
        .to(options);
  };
  out["dt_in_proj.weight"] = noise(rank, D, "mamba.dt_in");
  out["dt_proj.weight"] = noise(W, rank, "mamba.dt");
  out["dt_proj.bias"] = usual_decays(W, shape.layer).second.to(options);
  out["A_log"] = torch::arange(1, H + 1, torch::kFloat64).log().expand({W, H}).to(options).contiguous();
  out["D"] = torch::ones({W}, options);
  return out;
}

}  // namespace attnlab
