#include "model/precision.h"

#include <ATen/autocast_mode.h>

namespace attnlab {

PrecisionScope::PrecisionScope(Precision precision, torch::Device device)
    : device_(device.type()),
      enabled_before_(at::autocast::is_autocast_enabled(device_)),
      dtype_before_(at::autocast::get_autocast_dtype(device_)) {
  at::autocast::increment_nesting();
  at::autocast::set_autocast_enabled(device_, precision == Precision::bf16_mixed);
  at::autocast::set_autocast_dtype(device_, at::kBFloat16);
}

PrecisionScope::~PrecisionScope() {
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(device_, enabled_before_);
  at::autocast::set_autocast_dtype(device_, dtype_before_);
}

}  // namespace attnlab
