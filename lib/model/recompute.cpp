#include "model/recompute.h"

#include <ATen/autocast_mode.h>

#include "core/errors.h"
#include "model/precision.h"

namespace attnlab {
namespace {

using torch::Tensor;
using torch::autograd::variable_list;

// What the pass needs beside x.
struct Pass : torch::CustomClassHolder {
  std::shared_ptr<DecoderLayer> layer;
  MixerInput input;
  Precision precision;
  variable_list trained;
};

// Weights that autocast turns into bfloat16 in a pass without a graph would stay in its cache without one.
class NoAutocastCache {
 public:
  NoAutocastCache() { at::autocast::set_autocast_cache_enabled(false); }
  ~NoAutocastCache() { at::autocast::set_autocast_cache_enabled(before_); }
  NoAutocastCache(const NoAutocastCache&) = delete;
  NoAutocastCache& operator=(const NoAutocastCache&) = delete;

 private:
  bool before_ = at::autocast::is_autocast_cache_enabled();
};

// The parameters are inputs too, so that their gradients leave through the outer graph: what is computed inside
// is handed over once, and nothing is added to them on the way.
class RecomputedLayer : public torch::autograd::Function<RecomputedLayer> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x_BTD,
                        at::TensorList /*trained*/, const c10::intrusive_ptr<Pass>& pass) {
    context->save_for_backward({x_BTD});
    context->saved_data["pass"] = torch::IValue::make_capsule(pass);
    const NoAutocastCache no_cache;
    return pass->layer->forward(x_BTD, pass->input);
  }

  static variable_list backward(torch::autograd::AutogradContext* context, const variable_list& upstream) {
    const auto pass = c10::static_intrusive_pointer_cast<Pass>(context->saved_data["pass"].toCapsule());
    const Tensor saved_BTD = context->get_saved_variables()[0];
    const bool below = saved_BTD.requires_grad();
    const Tensor x_BTD = saved_BTD.detach().requires_grad_(below);
    variable_list wanted = pass->trained;
    if (below) wanted.push_back(x_BTD);
    variable_list gradients = inner_gradients(*pass, x_BTD, wanted, upstream[0]);
    variable_list out{below ? gradients.back() : Tensor()};
    out.insert(out.end(), gradients.begin(),
               gradients.begin() + static_cast<std::ptrdiff_t>(pass->trained.size()));
    out.emplace_back();  // of `pass`
    return out;
  }

 private:
  static variable_list inner_gradients(Pass& pass, const Tensor& x_BTD, const variable_list& wanted,
                                       const Tensor& upstream) {
    Tensor y_BTD;
    {
      const torch::AutoGradMode with_graph(true);
      const PrecisionScope scope(pass.precision, x_BTD.device());
      y_BTD = pass.layer->forward(x_BTD, pass.input);
    }
    // An expert that got no token leaves its weights unused.
    return torch::autograd::grad({y_BTD}, wanted, {upstream}, /*retain_graph=*/std::nullopt,
                                 /*create_graph=*/false, /*allow_unused=*/true);
  }
};

}  // namespace

torch::Tensor forward_recomputed(const std::shared_ptr<DecoderLayer>& layer, const Tensor& x_BTD,
                                 const MixerInput& input) {
  ATTNLAB_CHECK(!input.state);
  const auto pass = c10::make_intrusive<Pass>();
  for (const auto& parameter : layer->parameters())
    if (parameter.requires_grad()) pass->trained.push_back(parameter);
  if (!torch::GradMode::is_enabled() || (pass->trained.empty() && !x_BTD.requires_grad()))
    return layer->forward(x_BTD, input);
  pass->layer = layer;
  pass->input = input;
  pass->precision =
      at::autocast::is_autocast_enabled(x_BTD.device().type()) ? Precision::bf16_mixed : Precision::float32;
  return RecomputedLayer::apply(x_BTD, at::TensorList(pass->trained), pass);
}

}  // namespace attnlab
