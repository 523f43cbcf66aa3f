// RWKV's recurrences token by token, from torch's operations with their own gradients: what the kernels of
// kernels/wkv_scan.h compute, in any precision and of heads of any width.
#pragma once

#include "kernels/wkv_scan.h"

namespace attnlab::test {

WkvScanned wkv_twin(const WkvScan& scan);

}  // namespace attnlab::test
