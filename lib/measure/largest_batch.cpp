#include "measure/largest_batch.h"

#include <algorithm>

namespace attnlab {

int64_t batch_step(int64_t most) {
  int64_t step = 1;
  while (64 * step <= most) step *= 2;
  return step;
}

int64_t largest_batch(int64_t most, const std::function<bool(int64_t batch)>& fits) {
  const int64_t step = batch_step(most);
  int64_t fitting = most / step * step, failed = fitting + step;
  for (int64_t jump = step; fitting > 0 && !fits(fitting); jump *= 2) {
    failed = fitting;
    fitting = std::max<int64_t>(0, fitting - jump);
  }
  while (failed - fitting > step) {
    const int64_t middle = fitting + (failed - fitting) / step / 2 * step;
    (fits(middle) ? fitting : failed) = middle;
  }
  return fitting;
}

}  // namespace attnlab
