#include "model/linear_cross_entropy.h"

#include <ATen/autocast_mode.h>

#include <algorithm>

#include "kernels/fused.h"

namespace attnlab {
namespace {

using torch::Tensor;

class NoAutocast {
 public:
  explicit NoAutocast(torch::DeviceType device)
      : device_(device), before_(at::autocast::is_autocast_enabled(device)) {
    at::autocast::set_autocast_enabled(device, false);
  }
  ~NoAutocast() { at::autocast::set_autocast_enabled(device_, before_); }
  NoAutocast(const NoAutocast&) = delete;
  NoAutocast& operator=(const NoAutocast&) = delete;

 private:
  torch::DeviceType device_;
  bool before_;
};

// In which format products are computed, and in which sums.
struct Formats {
  torch::ScalarType product, sum;
};

Formats formats_of(const Tensor& hidden) {
  const auto device = hidden.device().type();
  const bool wide = hidden.scalar_type() == torch::kFloat64;
  const bool autocast = at::autocast::is_autocast_enabled(device) && !wide;
  return {autocast ? at::autocast::get_autocast_dtype(device) : hidden.scalar_type(),
          wide ? torch::kFloat64 : torch::kFloat32};
}

// One piece: its loss and d loss / d z of the logits z, p - one-hot, times cap'(z) = 1 - (cap/c)².
struct Piece {
  Tensor loss, dlogits_RV;
};

Piece piece_of(Tensor product_RV, const Tensor& targets_R, double softcap, torch::ScalarType sum,
               bool with_gradient) {
  if (has_kernels(product_RV)) {
    const auto losses_R = cross_entropy_in_place(product_RV, targets_R, softcap, with_gradient);
    return {losses_R.sum(), with_gradient ? product_RV : Tensor()};
  }
  const auto logits_RV = product_RV.to(sum);
  const auto capped = softcap > 0 ? softcap * torch::tanh(logits_RV / softcap) : logits_RV;
  const auto log_shares = torch::log_softmax(capped, -1);
  const auto index_R1 = targets_R.unsqueeze(1);
  Piece piece{.loss = -log_shares.gather(1, index_R1).sum()};
  if (!with_gradient) return piece;
  piece.dlogits_RV = log_shares.exp();
  piece.dlogits_RV.scatter_add_(1, index_R1, torch::full_like(index_R1, -1, piece.dlogits_RV.options()));
  if (softcap > 0) piece.dlogits_RV.mul_(1 - (capped / softcap).square());
  return piece;
}

struct Sums {
  Tensor loss, dhidden_PD, dweight_VD;
};

Sums sum_pieces(const Tensor& hidden_PD, const Tensor& weight_VD, const Tensor& targets_P, double softcap,
                int64_t rows, bool hidden_trained, bool weight_trained) {
  const Formats formats = formats_of(hidden_PD);
  const NoAutocast plain(hidden_PD.device().type());
  const auto weight = weight_VD.to(formats.product);
  Sums sums{.loss = torch::zeros({}, hidden_PD.options().dtype(formats.sum))};
  if (hidden_trained) sums.dhidden_PD = torch::empty_like(hidden_PD);
  if (weight_trained) sums.dweight_VD = torch::zeros_like(weight_VD, weight_VD.options().dtype(formats.sum));
  for (int64_t begin = 0; begin < hidden_PD.size(0); begin += rows) {
    const int64_t count = std::min(rows, hidden_PD.size(0) - begin);
    const auto hidden_RD = hidden_PD.narrow(0, begin, count).to(formats.product);
    const auto piece = piece_of(torch::matmul(hidden_RD, weight.t()), targets_P.narrow(0, begin, count),
                                softcap, formats.sum, hidden_trained || weight_trained);
    sums.loss += piece.loss;
    if (!piece.dlogits_RV.defined()) continue;
    const auto dlogits_RV = piece.dlogits_RV.to(formats.product);
    if (hidden_trained) sums.dhidden_PD.narrow(0, begin, count).copy_(torch::matmul(dlogits_RV, weight));
    if (weight_trained) sums.dweight_VD += torch::matmul(dlogits_RV.t(), hidden_RD);
  }
  return sums;
}

class LinearCrossEntropy : public torch::autograd::Function<LinearCrossEntropy> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& hidden_PD,
                        const Tensor& weight_VD, const Tensor& targets_P, double softcap, int64_t rows) {
    const auto sums = sum_pieces(hidden_PD, weight_VD, targets_P, softcap, rows, hidden_PD.requires_grad(),
                                 weight_VD.requires_grad());
    context->save_for_backward({sums.dhidden_PD, sums.dweight_VD});
    context->saved_data["weight_dtype"] = static_cast<int64_t>(weight_VD.scalar_type());
    return sums.loss;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list upstream) {
    const auto saved = context->get_saved_variables();
    const auto dtype = static_cast<torch::ScalarType>(context->saved_data["weight_dtype"].toInt());
    Tensor dhidden, dweight;
    if (saved[0].defined()) dhidden = saved[0] * upstream[0].to(saved[0].scalar_type());
    if (saved[1].defined()) dweight = (saved[1] * upstream[0].to(saved[1].scalar_type())).to(dtype);
    return {dhidden, dweight, {}, {}, {}};
  }
};

// Each piece reads and writes the weight's gradient once, in float32: 36 of 205 ms of a step of Qwen2.5-0.5B
// with 8 × 2048 tokens on an H200 at 2²⁵.
int64_t logits_of_a_piece(torch::Device device) { return int64_t{1} << (device.is_cuda() ? 28 : 25); }

}  // namespace

torch::Tensor linear_cross_entropy(const Tensor& hidden_PD, const Tensor& weight_VD, const Tensor& targets_P,
                                   double softcap, int64_t rows) {
  if (rows <= 0) rows = std::max<int64_t>(1, logits_of_a_piece(hidden_PD.device()) / weight_VD.size(0));
  const bool trained = hidden_PD.requires_grad() || weight_VD.requires_grad();
  if (!torch::GradMode::is_enabled() || !trained)
    return sum_pieces(hidden_PD, weight_VD, targets_P, softcap, rows, false, false).loss;
  return LinearCrossEntropy::apply(hidden_PD, weight_VD, targets_P, softcap, rows);
}

}  // namespace attnlab
