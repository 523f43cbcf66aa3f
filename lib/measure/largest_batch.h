// The largest batch that fits into memory.
#pragma once

#include <cstdint>
#include <functional>

namespace attnlab {

// Batches up to `most` that are looked at are multiples of this: of a thirty-second of it or less, a power of
// two.
int64_t batch_step(int64_t most);

// The largest multiple of batch_step(most), at most `most`, of which `fits` is true; 0: none. What fits must
// also fit with fewer. Asks from above, where a count of bytes says that the answer lies: few batches are tried
// if it is nearly right.
int64_t largest_batch(int64_t most, const std::function<bool(int64_t batch)>& fits);

}  // namespace attnlab
