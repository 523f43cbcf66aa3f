// RWKV's recurrences with a kernel (kernels/wkv_scan.h).
#pragma once

#include <functional>

#include "attention/wkv.h"
#include "kernels/wkv_scan.h"

namespace attnlab {

// Numbers may be bfloat16, at any strides, as projections leave them.
WkvScan scan_of(const Wkv6& wkv);
WkvScan scan_of(const Wkv7& wkv);

// A GPU computes B · N heads at once, and these one token after the other: few heads are cut into parts of a
// sequence, so many that they fill it.
int64_t wkv_parts(const WkvScan& scan);

// The recurrence of a whole sequence by way of `parts` parts of it: from states 0 to each part's end, these
// carried on, and all parts at once from what they begin with. RWKV-7's parts are maps of the state that they
// begin with, which are found by starting from the identity. `kernel`: wkv_scan, or what stands in for it.
using WkvKernel = std::function<WkvScanned(const WkvScan&)>;
WkvOut wkv_in_parts(WkvScan scan, const torch::Tensor& ids_BT, const torch::Tensor& state_BNKV, int64_t parts,
                    const WkvKernel& kernel = wkv_scan);

}  // namespace attnlab
