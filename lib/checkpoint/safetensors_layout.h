// Where a writer puts tensors in a safetensors file, and the header that says so.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tensor/torch.h"

namespace attnlab {

struct TensorSlot {
  std::string name;
  size_t dtype = 0;  // row of dtype_rows()
  std::vector<int64_t> shape = {};
  uint64_t bytes = 0;
};

// Throws InputError for a dtype that the format lacks, a reserved name, or one that is not UTF-8.
TensorSlot slot_of(const std::string& name, const torch::Tensor& tensor);

// Wide elements first (everything stays aligned), then in order of names, as the reference implementation does
// it. The bytes of a file depend on names, values and metadata alone.
void sort_slots(std::vector<TensorSlot>& slots);

// The header with its length before it, padded so that the data begins at a multiple of 8. The tensors' bytes
// follow in the order of `slots`. Throws InputError if it is longer than the format allows.
std::string header_bytes(const std::vector<TensorSlot>& slots,
                         const std::map<std::string, std::string>& metadata);

// The values as the format has them: on the CPU, row-major. A copy only where they aren't.
torch::Tensor plain_values(const torch::Tensor& tensor);

}  // namespace attnlab
