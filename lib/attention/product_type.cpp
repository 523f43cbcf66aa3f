#include "attention/product_type.h"

#include <ATen/autocast_mode.h>

namespace attnlab {

torch::ScalarType product_type(torch::Device device, torch::ScalarType stored) {
  const bool casts = at::autocast::is_autocast_enabled(device.type()) && stored != torch::kFloat64;
  return casts ? at::autocast::get_autocast_dtype(device.type()) : stored;
}

torch::ScalarType product_type(const torch::Tensor& x) { return product_type(x.device(), x.scalar_type()); }

}  // namespace attnlab
