#include "measure/bench_models.h"

#include <fmt/format.h>

#include <cmath>

#include "core/errors.h"

namespace attnlab {
namespace {

constexpr double kDeviation = 0.02;

void fill_packed(LinearImpl& linear, const MatrixPacking& packing, torch::Device device) {
  const auto packed = random_packed(packing, linear.in(), linear.out(), device);
  for (auto& item : linear.named_parameters(/*recurse=*/false)) {
    if (item.key() == "qweight") item.value().set_data(packed.qweight);
    if (item.key() == "qzeros") item.value().set_data(packed.qzeros);
    if (item.key() == "scales") item.value().set_data(packed.scales);
    if (item.key() == "g_idx") item.value().set_data(packed.g_idx);
  }
}

}  // namespace

DecoderConfig shape_config(const ShapeNumbers& n) {
  DecoderConfig c;
  c.family = n.family, c.vocab_size = n.vocab_size, c.d_model = n.d_model, c.n_layers = n.n_layers;
  c.n_heads = n.n_heads, c.n_kv_heads = n.n_kv_heads, c.head_dim = n.head_dim, c.d_ff = n.d_ff;
  c.qkv_bias = n.family == Family::qwen2;
  c.tie_embeddings = n.tied;
  return c;
}

void pack_form(ModelForm& form, MatrixPacking packing) {
  const ShapesOnly no_memory;
  for (int64_t layer = 0; layer < form.config.n_layers; ++layer)
    for (const auto& [name, linear] : linears_of(*make_layer(form, layer))) {
      const auto module = fmt::format("model.layers.{}.{}", layer, name);
      if (!packing_problem(linear->in(), linear->out()).empty()) {
        packing.whole.insert(module);
        continue;
      }
      if (packing.group_size > 0 && linear->in() % packing.group_size != 0 && linear->in() > packing.group_size)
        throw InputError(
            BadInput{.key = "group_size",
                     .found = fmt::format("{}", packing.group_size),
                     .expected = fmt::format("a divisor of {}, the inputs of {}", linear->in(), module)});
    }
  form.packing = std::move(packing);
}

PackedMatrix random_packed(const MatrixPacking& packing, int64_t in, int64_t out, torch::Device device) {
  const auto integers = torch::dtype(torch::kInt32).device(device);
  const auto words = [&](at::IntArrayRef shape) {
    return torch::randint(-(int64_t{1} << 31), int64_t{1} << 31, shape, integers);
  };
  const auto shapes = packed_parts(packing, in, out);
  auto g_idx = torch::arange(in, integers).floor_divide(columns_of_group(packing.group_size, in));
  if (packing.desc_act) g_idx = g_idx.index_select(0, torch::randperm(in, device));
  // The difference of two even numbers below 2^b has the deviation 2^b / √6.
  const double scale = kDeviation * std::sqrt(6.0) / static_cast<double>(int64_t{1} << packing.bits);
  return {.qweight = words(shapes[0].shape),
          .qzeros = words(shapes[1].shape),
          .scales = torch::full(shapes[2].shape, scale, torch::dtype(torch::kHalf).device(device)),
          .g_idx = g_idx.to(torch::kInt32)};
}

void fill_randomly(Decoder& decoder, torch::ScalarType dtype, torch::Device device, int64_t seed,
                   double norm_deviation) {
  const torch::NoGradGuard no_grad;
  torch::manual_seed(static_cast<uint64_t>(seed));
  const auto options = torch::dtype(dtype).device(device);
  for (auto& parameter : decoder.named_parameters()) {
    if (decoder.form().packing && is_packed_part(parameter.key())) continue;
    auto& tensor = parameter.value();
    const bool norm = parameter.key().ends_with("norm.weight");
    tensor.requires_grad_(false);
    tensor.set_data(
        torch::empty(tensor.sizes(), options).normal_(norm ? 1 : 0, norm ? norm_deviation : kDeviation));
  }
  for (const auto& layer : decoder.layers())
    for (const auto& [name, linear] : linears_of(*layer))
      if (linear->is_packed()) fill_packed(*linear, *decoder.form().packing, device);
}

}  // namespace attnlab
