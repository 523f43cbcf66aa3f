#include "kernels/parallel.h"

#include <ATen/TensorIterator.h>

#include "tensor/torch.h"

namespace attnlab {

// An operation over n bytes that are neither read nor written: where a part stands says which one it is.
void in_parallel(int64_t n, int64_t grain, const std::function<void(int64_t, int64_t)>& work) {
  if (n <= 0) return;
  if (n <= grain) return work(0, n);
  const auto places = at::empty({n}, torch::kUInt8);
  const auto* first = reinterpret_cast<const char*>(places.const_data_ptr<uint8_t>());
  auto iterator = at::TensorIterator::borrowing_nullary_op(places);
  iterator.for_each(
      [&](char** at, const int64_t*, int64_t size, int64_t) {
        const int64_t begin = at[0] - first;
        work(begin, begin + size);
      },
      grain);
}

}  // namespace attnlab
