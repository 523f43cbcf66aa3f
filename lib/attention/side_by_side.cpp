#include "attention/side_by_side.h"

#include <ATen/autocast_mode.h>
#include <c10/util/strides.h>

#include <algorithm>
#include <numeric>

#include "attention/product_type.h"
#include "kernels/few_rows.h"

namespace attnlab {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Linears = std::vector<std::shared_ptr<LinearImpl>>;

// They fill one memory, in this order.
bool fill_one_memory(const Linears& linears, Tensor LinearImpl::*part) {
  const Tensor& first = (*linears.front()).*part;
  int64_t begin = 0;
  for (const auto& linear : linears) {
    const Tensor& each = (*linear).*part;
    if (!each.is_contiguous() || each.scalar_type() != first.scalar_type() || each.storage_offset() != begin ||
        !each.storage().is_alias_of(first.storage()))
      return false;
    begin += each.numel();
  }
  return static_cast<int64_t>(first.storage().nbytes()) == begin * static_cast<int64_t>(first.element_size());
}

// [Σ out, ..] from the first of parts that fill one memory.
Tensor whole_of(const Tensor& first, int64_t out) {
  auto sizes = first.sizes().vec();
  sizes[0] = out;
  return first.detach().as_strided(sizes, first.strides());
}

// Memory for all parts in which the first stands already: rows lie as far apart as those of all, and nobody
// else can read what is between them. Undefined: there is none.
Tensor room_behind(const Tensor& first, const std::vector<int64_t>& sizes) {
  if (!first.defined() || first.storage_offset() != 0 || first.storage().use_count() != 1) return {};
  const auto strides = c10::contiguous_strides(sizes);
  int64_t all = static_cast<int64_t>(first.element_size());
  for (const int64_t size : sizes) all *= size;
  const bool has =
      first.strides() == c10::IntArrayRef(strides) && static_cast<int64_t>(first.storage().nbytes()) >= all;
  return has ? first.as_strided(sizes, strides) : Tensor();
}

// The gradient of y from those of its parts, of which some may be undefined.
Tensor join_gradients(const variable_list& parts, const std::vector<int64_t>& widths, const Tensor& x) {
  if (parts.size() == 1) return parts[0];
  if (std::none_of(parts.begin(), parts.end(), [](const auto& part) { return part.defined(); })) return {};
  variable_list all;
  for (size_t i = 0; i < parts.size(); ++i) {
    auto sizes = x.sizes().vec();
    sizes.back() = widths[i];
    all.push_back(parts[i].defined() ? parts[i] : torch::zeros(sizes, x.options()));
  }
  auto sizes = x.sizes().vec();
  sizes.back() = std::accumulate(widths.begin(), widths.end(), int64_t{0});
  const auto room = room_behind(parts[0], sizes);
  if (!room.defined()) return torch::cat(all, -1);
  const auto places = room.split_with_sizes(widths, -1);
  for (size_t i = 1; i < parts.size(); ++i) Tensor(places[i]).copy_(all[i]);
  return room;
}

// x, the parts' widths, whether their results are wanted apart, weights and biases → y, or its parts.
class JoinedProduct : public torch::autograd::Function<JoinedProduct> {
 public:
  static variable_list forward(AutogradContext* context, const Tensor& x, const std::vector<int64_t>& widths,
                               bool apart, at::TensorList parameters) {
    const auto out = std::accumulate(widths.begin(), widths.end(), int64_t{0});
    const size_t n = widths.size();
    const auto weight = whole_of(parameters[0], out).to(x.scalar_type());
    const auto bias = parameters.size() > n ? whole_of(parameters[n], out).to(x.scalar_type()) : Tensor();
    context->save_for_backward({x, weight});
    context->saved_data["format"] = static_cast<int64_t>(parameters[0].scalar_type());
    context->saved_data["widths"] = widths;
    context->saved_data["parameters"] = static_cast<int64_t>(parameters.size());
    context->set_materialize_grads(false);
    const auto y = torch::linear(x, weight, bias);
    if (!apart) return {y};
    // To autograd they are tensors of their own, so that each has a gradient of its own width.
    const at::AutoDispatchBelowADInplaceOrView no_views;
    return y.split_with_sizes(widths, -1);
  }

  static variable_list backward(AutogradContext* context, const variable_list& upstream) {
    const auto saved = context->get_saved_variables();
    const auto widths = context->saved_data["widths"].toIntVector();
    const auto n_parameters = static_cast<size_t>(context->saved_data["parameters"].toInt());
    constexpr size_t before = 3;  // what forward is given before the parameters; x alone is a tensor
    variable_list gradients(before + n_parameters);
    const auto dy = join_gradients(upstream, widths, saved[0]);
    if (!dy.defined()) return gradients;
    const auto dy_MO = dy.reshape({-1, dy.size(-1)}), x_MD = saved[0].reshape({-1, saved[0].size(-1)});
    if (context->needs_input_grad(0)) gradients[0] = torch::mm(dy_MO, saved[1]).view(saved[0].sizes());
    const auto format = static_cast<torch::ScalarType>(context->saved_data["format"].toInt());
    const auto put = [&](size_t first, const Tensor& whole) {
      const auto parts = whole.to(format).split_with_sizes(widths, 0);
      std::copy(parts.begin(), parts.end(), gradients.begin() + static_cast<std::ptrdiff_t>(before + first));
    };
    const size_t n = widths.size();
    if (context->needs_input_grad(1)) put(0, torch::mm(dy_MO.t(), x_MD));
    if (n_parameters > n && context->needs_input_grad(1 + n)) put(n, dy_MO.sum(0));
    return gradients;
  }
};

bool is_plain(const LinearImpl& linear) { return !linear.is_packed() && !linear.input_mask.defined(); }

bool have_biases(const Linears& linears) { return linears.front()->bias.defined(); }

bool train_alike(const Linears& linears) {
  const auto& first = *linears.front();
  return std::all_of(linears.begin(), linears.end(), [&](const auto& linear) {
    return linear->weight.requires_grad() == first.weight.requires_grad() &&
           (!first.bias.defined() || linear->bias.requires_grad() == first.bias.requires_grad());
  });
}

int64_t rows_of_all(const Linears& linears) {
  int64_t rows = 0;
  for (const auto& linear : linears) rows += linear->out();
  return rows;
}

}  // namespace

bool SharedInput::are_alike() const {
  const auto& first = linears_.front();
  return std::all_of(linears_.begin(), linears_.end(), [&](const auto& linear) {
    return is_plain(*linear) && linear->in() == first->in() &&
           linear->weight.scalar_type() == first->weight.scalar_type() &&
           linear->weight.device() == first->weight.device() && linear->bias.defined() == first->bias.defined();
  });
}

bool SharedInput::lie_side_by_side() const {
  return laid_ && are_alike() && fill_one_memory(linears_, &LinearImpl::weight) &&
         (!have_biases(linears_) || fill_one_memory(linears_, &LinearImpl::bias));
}

bool SharedInput::is_one_product() const { return lie_side_by_side() && train_alike(linears_); }

namespace {

// One memory for a part of all.
void lay(const Linears& linears, Tensor LinearImpl::*part) {
  const Tensor& first = (*linears.front()).*part;
  auto sizes = first.sizes().vec();
  sizes[0] = rows_of_all(linears);
  const auto whole = torch::empty(sizes, first.options().requires_grad(false));
  int64_t begin = 0;
  for (const auto& linear : linears) {
    const auto place = whole.narrow(0, begin, linear->out());
    place.copy_((*linear).*part);
    ((*linear).*part).set_data(place);
    begin += linear->out();
  }
}

bool are_packed_alike(const Linears& linears) {
  const auto& first = *linears.front();
  return std::all_of(linears.begin(), linears.end(), [&](const auto& linear) {
    return linear->in() == first.in() && linear->bias.defined() == first.bias.defined() &&
           linear->share_order(first);
  });
}

}  // namespace

void SharedInput::lay_side_by_side() {
  if (lie_side_by_side()) return;
  packed_alike_ = linears_.size() > 1 && are_packed_alike(linears_);
  laid_ = linears_.size() > 1 && are_alike();
  if (!laid_) return;
  const torch::NoGradGuard no_grad;
  lay(linears_, &LinearImpl::weight);
  if (have_biases(linears_)) lay(linears_, &LinearImpl::bias);
}

namespace {

// Autocast keeps its copies of parameters alone: a view of several is cast in each product, which few rows
// don't pay for.
bool is_worth_its_cast(const Tensor& x) {
  constexpr int64_t few = 256;
  return !at::autocast::is_autocast_enabled(x.device().type()) || x.numel() >= few * x.size(-1);
}

}  // namespace

std::vector<Tensor> SharedInput::product(const Tensor& x, bool apart) const {
  for (const auto& linear : linears_) LinearTap::hear(*linear, x);
  const auto widths = this->widths();
  std::vector<Tensor> parameters;
  for (const auto& linear : linears_) parameters.push_back(linear->weight);
  if (have_biases(linears_))
    for (const auto& linear : linears_) parameters.push_back(linear->bias);
  const auto in = x.to(product_type(x));
  if (torch::GradMode::is_enabled()) return JoinedProduct::apply(in, widths, apart, at::TensorList(parameters));
  const auto whole = [&](const Tensor& first) {
    return whole_of(first, rows_of_all(linears_)).to(in.scalar_type());
  };
  const auto y = linear_of_rows(in, whole(parameters[0]),
                                have_biases(linears_) ? whole(parameters[widths.size()]) : Tensor());
  return apart ? y.split_with_sizes(widths, -1) : std::vector<Tensor>{y};
}

std::vector<int64_t> SharedInput::widths() const {
  std::vector<int64_t> widths;
  for (const auto& linear : linears_) widths.push_back(linear->out());
  return widths;
}

Tensor SharedInput::packed_product(const Tensor& x) const {
  const bool masked = std::any_of(linears_.begin(), linears_.end(),
                                  [](const auto& linear) { return linear->input_mask.defined(); });
  if (!packed_alike_ || masked) return {};
  std::vector<PackedMatrix> matrices;
  std::vector<Tensor> biases;
  for (const auto& linear : linears_) {
    matrices.push_back(linear->packed());
    if (linear->bias.defined()) biases.push_back(linear->bias);
  }
  auto y = packed_linear_of_all(x.to(product_type(x)), matrices, linears_.front()->packing(), biases);
  if (y.defined())
    for (const auto& linear : linears_) LinearTap::hear(*linear, x);
  return y;
}

std::vector<Tensor> SharedInput::forward(const Tensor& x) const {
  if (const auto y = packed_product(x); y.defined()) return y.split_with_sizes(widths(), -1);
  if (is_one_product() && is_worth_its_cast(x)) return product(x, /*apart=*/true);
  std::vector<Tensor> outputs;
  for (const auto& linear : linears_) outputs.push_back(linear->forward(x));
  return outputs;
}

Tensor SharedInput::joined(const Tensor& x) const {
  if (auto y = packed_product(x); y.defined()) return y;
  return is_one_product() && is_worth_its_cast(x) ? product(x, /*apart=*/false)[0] : Tensor();
}

void lay_side_by_side(torch::nn::Module& module) {
  for (const auto& each : module.modules())
    if (auto* shares = dynamic_cast<SharesInputs*>(each.get()))
      for (auto* input : shares->shared_inputs()) input->lay_side_by_side();
}

void sort_packed_columns(torch::nn::Module& module) {
  for (const auto& each : module.modules())
    if (auto* linear = dynamic_cast<LinearImpl*>(each.get())) linear->sort_columns();
}

void lay_side_by_side_on_gpu(torch::nn::Module& module) {
  const auto parameters = module.parameters();
  if (parameters.empty() || !parameters.front().is_cuda()) return;
  sort_packed_columns(module);
  lay_side_by_side(module);
}

}  // namespace attnlab
