#include "attention/native_recurrence.h"

#include "attention/attention.h"
#include "attention/gated_input.h"
#include "attention/input_type.h"
#include "attention/mamba2_mixer.h"
#include "attention/mixer_parts.h"
#include "attention/selective_scan.h"
#include "attention/wkv.h"
#include "core/errors.h"

namespace attnlab {
namespace {

// conv1d.weight [C, 1, K] and its bias, as the checkpoints have them.
struct Conv1dImpl : torch::nn::Module {
  Conv1dImpl(int64_t channels, int64_t K, bool with_bias) {
    weight = register_parameter("weight", empty_parameter({channels, 1, K}));
    if (with_bias) bias = register_parameter("bias", empty_parameter({channels}));
  }
  torch::Tensor weight, bias;
};
TORCH_MODULE(Conv1d);

// What Mamba and Mamba-2 share: W_in, the convolution with its kept inputs (slot 1), W_out.
class MambaBase : public Mixer {
 public:
  MambaBase(const AttentionShape& shape, int64_t in_rows, int64_t channels)
      : Mixer(shape), form_(*shape.recurrent), channels_(channels) {
    in_proj_ = register_module("in_proj", Linear(shape.d_model, in_rows, form_.bias));
    conv1d_ = register_module("conv1d", Conv1d(channels, form_.conv_kernel, form_.conv_bias));
    out_proj_ = register_module("out_proj", Linear(form_.inner, shape.d_model, form_.bias));
  }
  std::vector<std::string> query_and_output_parts() const override { return {"in_proj", "out_proj"}; }

 protected:
  StateLayout layout_with(int64_t numbers, int64_t heads) const {
    StateLayout layout{{.name = "state", .width = numbers, .heads = heads, .extent = Extent::fixed}};
    const int64_t kept = form_.conv_kernel - 1;
    if (kept > 0)
      layout.push_back({.name = "conv", .width = kept * channels_, .heads = kept, .extent = Extent::fixed});
    return layout;
  }
  // silu(conv(x)), zeros at padded places in front of it: behind the projection, so that its bias leaks into
  // none.
  torch::Tensor convolved(const torch::Tensor& x_BTC, const MixerInput& input, const Segments& segments) {
    const bool keeps = input.state && form_.conv_kernel > 1;
    const auto bias = conv1d_->bias.defined() ? in_full(conv1d_->bias) : conv1d_->bias;
    const auto conv =
        short_convolution(segments.only_valid(in_full(x_BTC)), in_full(conv1d_->weight).squeeze(1), bias,
                          keeps ? input.state->fixed(1) : torch::Tensor(), segments);
    if (keeps) input.state->replace(1, conv.last_BKC);
    return torch::silu(conv.y_BTC);
  }

  RecurrentShape form_;
  int64_t channels_;
  Linear in_proj_{nullptr}, out_proj_{nullptr};
  Conv1d conv1d_{nullptr};
};

class NativeMamba final : public MambaBase {
 public:
  explicit NativeMamba(const AttentionShape& shape)
      : MambaBase(shape, 2 * shape.recurrent->inner, shape.recurrent->inner) {
    const int64_t C = form_.inner, s = form_.state, rank = form_.step_rank;
    x_proj_ = register_module("x_proj", Linear(C, rank + 2 * s));
    dt_proj_ = register_module("dt_proj", Linear(rank, C, true));
    A_log_ = register_parameter("A_log", empty_parameter({C, s}));
    D_ = register_parameter("D", empty_parameter({C}));
  }
  StateLayout state_layout() const override { return layout_with(form_.inner * form_.state, form_.inner); }
  double forward_flops_per_token(int64_t) const override {
    return matrix_flops() + 6.0 * static_cast<double>(form_.inner * form_.state);
  }

 protected:
  torch::Tensor mix(const MixerInput& input) override {
    const auto segments = Segments::of(*input.sequence);
    const auto both = in_proj_(input.x_BTD).split_with_sizes({form_.inner, form_.inner}, 2);
    torch::Tensor y_BTC;
    {
      const FullPrecision full;
      const auto x_BTC = convolved(both[0], input, segments);
      const auto parts = torch::linear(x_BTC, in_full(x_proj_->matrix(torch::kFloat32)))
                             .split_with_sizes({form_.step_rank, form_.state, form_.state}, 2);
      const auto dt_BTC =
          torch::linear(parts[0], in_full(dt_proj_->matrix(torch::kFloat32)), in_full(dt_proj_->bias));
      SelectiveScan scan{.x_BGTP = x_BTC.unsqueeze(1),
                         .step_BNTP = {},
                         .A_NPS = -in_full(A_log_).exp().unsqueeze(0),
                         .B_BGTS = parts[1].unsqueeze(1),
                         .C_BNTS = parts[2].unsqueeze(1),
                         .D_NP = in_full(D_).unsqueeze(0),
                         .ids_BT = segments.ids_BT,
                         .state_BNPS = {}};
      set_step(scan, dt_BTC.unsqueeze(1), segments);
      if (input.state) scan.state_BNPS = input.state->fixed(0).unsqueeze(1);
      const auto out = selective_scan(scan);
      if (input.state) input.state->replace(0, out.state_BNPS.squeeze(1));
      y_BTC = out.y_BNTP.squeeze(1);
    }
    return out_proj_(gated_input(out_proj_, y_BTC, both[1], input.x_BTD));
  }

 private:
  Linear x_proj_{nullptr}, dt_proj_{nullptr};
  torch::Tensor A_log_, D_;
};

class NativeMamba2 final : public MambaBase {
 public:
  explicit NativeMamba2(const AttentionShape& shape)
      : MambaBase(shape, 2 * shape.recurrent->inner + 2 * groups_width(shape) + shape.recurrent->heads,
                  shape.recurrent->inner + 2 * groups_width(shape)) {
    norm_ = register_module("norm", RmsNorm(form_.inner, shape.norm_eps));
    A_log_ = register_parameter("A_log", empty_parameter({form_.heads}));
    D_ = register_parameter("D", empty_parameter({form_.heads}));
    dt_bias_ = register_parameter("dt_bias", empty_parameter({form_.heads}));
  }
  StateLayout state_layout() const override { return layout_with(form_.inner * form_.state, form_.heads); }
  double forward_flops_per_token(int64_t T) const override {
    return matrix_flops() +
           static_cast<double>(form_.heads) * scan_flops(form_.state, form_.inner / form_.heads, T);
  }

 protected:
  torch::Tensor mix(const MixerInput& input) override {
    const auto segments = Segments::of(*input.sequence);
    const int64_t C = form_.inner, gs = groups_width(shape_), N = form_.heads;
    const auto parts = in_proj_(input.x_BTD).split_with_sizes({C, C + 2 * gs, N}, 2);
    torch::Tensor y_BTC;
    {
      const FullPrecision full;
      const auto xBC = convolved(parts[1], input, segments).split_with_sizes({C, gs, gs}, 2);
      const auto of_groups = [&](const torch::Tensor& x_BTW) {
        return split_heads(x_BTW, form_.groups).repeat_interleave(N / form_.groups, 1);
      };
      Mamba2Scan scan{.x_BNTP = split_heads(xBC[0], N),
                      .B_BNTS = of_groups(xBC[1]),
                      .C_BNTS = of_groups(xBC[2]),
                      .step_BTN = limited(mamba_step(parts[2], dt_bias_)),
                      .A_log_N = A_log_,
                      .D_N = D_,
                      .state_BNSP = {}};
      if (input.state) scan.state_BNSP = input.state->fixed(0).unflatten(2, {form_.state, -1});
      const auto out = mamba2_scan(scan, segments);
      if (input.state) input.state->replace(0, out.state_BNSP.flatten(2));
      y_BTC = normed(merge_heads(out.y_BNTP) * torch::silu(in_full(parts[0])));
    }
    return out_proj_(y_BTC.to(input_type(out_proj_, input.x_BTD)));
  }

 private:
  // Numbers of B, or C, of all groups.
  static int64_t groups_width(const AttentionShape& shape) {
    return shape.recurrent->groups * shape.recurrent->state;
  }
  // In the full pass and while stepping alike (transformers clamps in the former alone).
  torch::Tensor limited(const torch::Tensor& step) const {
    const auto floored = form_.step_least > 0 ? step.clamp_min(form_.step_least) : step;
    return form_.step_most > 0 ? floored.clamp_max(form_.step_most) : floored;
  }
  // Over the numbers of each group.
  torch::Tensor normed(const torch::Tensor& y_BTC) {
    const auto groups = y_BTC.unflatten(2, {form_.groups, -1});
    return at::rms_norm(groups, {groups.size(3)}, {}, shape_.norm_eps).flatten(2) * in_full(norm_->weight);
  }

  RmsNorm norm_{nullptr};
  torch::Tensor A_log_, D_, dt_bias_;
};

// RWKV-4's time mixing.
class NativeRwkv final : public Mixer {
 public:
  explicit NativeRwkv(const AttentionShape& shape) : Mixer(shape), width_(shape.recurrent->inner) {
    const int64_t D = shape.d_model;
    time_decay_ = register_parameter("time_decay", empty_parameter({width_}));
    time_first_ = register_parameter("time_first", empty_parameter({width_}));
    for (const auto& [name, mix] :
         {std::pair{"time_mix_key", &mix_k_}, {"time_mix_value", &mix_v_}, {"time_mix_receptance", &mix_r_}})
      *mix = register_parameter(name, empty_parameter({1, 1, D}));
    key_ = register_module("key", Linear(D, width_));
    value_ = register_module("value", Linear(D, width_));
    receptance_ = register_module("receptance", Linear(D, width_));
    output_ = register_module("output", Linear(width_, D));
  }

  StateLayout state_layout() const override {
    const auto slot = [](const char* name, int64_t width) {
      return StateSlot{.name = name, .width = width, .extent = Extent::fixed};
    };
    return {slot("before", shape_.d_model), slot("sum", width_), slot("weight", width_),
            slot("largest", width_), slot("channel_before", shape_.d_model)};
  }
  double forward_flops_per_token(int64_t) const override {
    return matrix_flops() + 12.0 * static_cast<double>(width_);
  }
  std::vector<std::string> query_and_output_parts() const override { return {"receptance", "output"}; }

 protected:
  torch::Tensor mix(const MixerInput& input) override {
    const auto segments = Segments::of(*input.sequence);
    const auto& x = input.x_BTD;
    const auto before = shifted(x, input.state ? input.state->fixed(0) : torch::Tensor(), segments);
    const auto mixed = [&](const torch::Tensor& mu) { return x * mu + before * (1 - mu); };
    const auto k = key_(mixed(mix_k_)), v = value_(mixed(mix_v_)), r = receptance_(mixed(mix_r_));
    torch::Tensor y;
    {
      const FullPrecision full;
      const auto keys = in_full(k);
      // What is kept begins as zeros, which are no sums over no tokens: that has a maximum of its own.
      auto state = Wkv4State::none(x.size(0), width_, keys.options());
      if (input.state && input.sequence->begin() > 0)
        state = {input.state->fixed(1).squeeze(1), input.state->fixed(2).squeeze(1),
                 input.state->fixed(3).squeeze(1)};
      const auto out = wkv4(in_full(time_decay_), in_full(time_first_), keys, in_full(v), state, segments);
      y = torch::sigmoid(in_full(r)) * out.o_BTC;
      if (input.state) {
        input.state->replace(0, x.narrow(1, x.size(1) - 1, 1));
        input.state->replace(1, out.state.sum_BC.unsqueeze(1));
        input.state->replace(2, out.state.weight_BC.unsqueeze(1));
        input.state->replace(3, out.state.largest_BC.unsqueeze(1));
      }
    }
    return output_(y.to(input_type(output_, input.x_BTD)));
  }

 private:
  int64_t width_;
  torch::Tensor time_decay_, time_first_, mix_k_, mix_v_, mix_r_;
  Linear key_{nullptr}, value_{nullptr}, receptance_{nullptr}, output_{nullptr};
};

}  // namespace

std::optional<BadInput> NativeRecurrence::problem(const AttentionShape& shape, const Config&) {
  if (shape.recurrent) return std::nullopt;
  return BadInput{.key = "variant",
                  .found = "native_recurrence",
                  .expected = "a variant that is made from GQA: the base has attention"};
}

std::shared_ptr<Mixer> NativeRecurrence::make(const AttentionShape& shape, const Config&) {
  switch (shape.recurrent->kind) {
    case RecurrentKind::mamba:
      return std::make_shared<NativeMamba>(shape);
    case RecurrentKind::mamba2:
      return std::make_shared<NativeMamba2>(shape);
    case RecurrentKind::rwkv:
      return std::make_shared<NativeRwkv>(shape);
  }
  ATTNLAB_CHECK(!"a kind without a case");
}

TensorMap NativeRecurrence::from_gqa(const AttentionShape&, const Config&, const GqaWeights&) {
  ATTNLAB_CHECK(!"made from nothing else");
}

}  // namespace attnlab
