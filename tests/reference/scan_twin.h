// Mamba's recurrence token by token, from torch's operations with their own gradients: what the kernel of
// kernels/scan.h computes, in any precision.
#pragma once

#include "kernels/scan.h"

namespace attnlab::test {

ScannedParts scan_twin(const ScanParts& scan);

}  // namespace attnlab::test
