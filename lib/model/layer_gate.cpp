#include "model/layer_gate.h"

namespace attnlab {
namespace {

using torch::Tensor;
using torch::autograd::variable_list;

struct Call : torch::CustomClassHolder {
  explicit Call(std::function<void()> call) : call(std::move(call)) {}
  std::function<void()> call;
};

// x itself; calls when its gradient comes by. The engine goes through what was made later first, so that behind
// a layer's input nothing of the layer is left to do.
class OnTheWayBack : public torch::autograd::Function<OnTheWayBack> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x,
                        const c10::intrusive_ptr<Call>& call) {
    context->saved_data["call"] = torch::IValue::make_capsule(call);
    return x;
  }

  static variable_list backward(torch::autograd::AutogradContext* context, const variable_list& upstream) {
    c10::static_intrusive_pointer_cast<Call>(context->saved_data["call"].toCapsule())->call();
    return {upstream[0], Tensor()};
  }
};

Tensor on_the_way_back(const Tensor& x, std::function<void()> call) {
  return OnTheWayBack::apply(x, c10::make_intrusive<Call>(std::move(call)));
}

}  // namespace

Tensor through_gate(LayerGate& gate, size_t layer, const Tensor& x_BTD,
                    const std::function<Tensor(const Tensor& x_BTD)>& forward) {
  gate.before(layer);
  const bool with_graph = torch::GradMode::is_enabled();
  const bool below = with_graph && x_BTD.requires_grad();
  auto y_BTD = forward(below ? on_the_way_back(x_BTD, [&gate, layer] { gate.behind_backward(layer); }) : x_BTD);
  const bool goes_back = with_graph && y_BTD.requires_grad();
  if (goes_back) y_BTD = on_the_way_back(y_BTD, [&gate, layer] { gate.before_backward(layer); });
  gate.behind(layer, goes_back);
  return y_BTD;
}

}  // namespace attnlab
