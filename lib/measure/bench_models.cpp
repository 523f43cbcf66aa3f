#include "measure/bench_models.h"

namespace attnlab {

DecoderConfig shape_config(const ShapeNumbers& n) {
  DecoderConfig c;
  c.family = n.family, c.vocab_size = n.vocab_size, c.d_model = n.d_model, c.n_layers = n.n_layers;
  c.n_heads = n.n_heads, c.n_kv_heads = n.n_kv_heads, c.head_dim = n.head_dim, c.d_ff = n.d_ff;
  c.qkv_bias = n.family == Family::qwen2;
  c.tie_embeddings = n.tied;
  return c;
}

void fill_randomly(Decoder& decoder, torch::ScalarType dtype, torch::Device device, int64_t seed,
                   double norm_deviation) {
  const torch::NoGradGuard no_grad;
  torch::manual_seed(static_cast<uint64_t>(seed));
  const auto options = torch::dtype(dtype).device(device);
  for (auto& parameter : decoder.named_parameters()) {
    auto& tensor = parameter.value();
    const bool norm = parameter.key().ends_with("norm.weight");
    tensor.requires_grad_(false);
    tensor.set_data(torch::empty(tensor.sizes(), options).normal_(norm ? 1 : 0, norm ? norm_deviation : 0.02));
  }
}

}  // namespace attnlab
