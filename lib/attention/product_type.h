// The format in which matrix products are computed.
#pragma once

#include "tensor/torch.h"

namespace attnlab {

// Of a product whose factors on the device are of the type `stored`: autocast's where it is on, as torch's own
// products have it, which leaves float64 alone; else `stored`.
torch::ScalarType product_type(torch::Device device, torch::ScalarType stored);
// With x as one factor.
torch::ScalarType product_type(const torch::Tensor& x);

}  // namespace attnlab
