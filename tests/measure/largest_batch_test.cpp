#include "measure/largest_batch.h"

#include <algorithm>
#include <bit>
#include <vector>

#include "catch.h"

namespace attnlab {
namespace {

TEST_CASE("the largest batch that fits is found for every memory, in steps of a thirty-second or finer") {
  for (int64_t most = 0; most <= 700; ++most) {
    const int64_t step = batch_step(most);
    CHECK((step == 1 || step <= most / 32));
    CHECK(2 * step > most / 64);
    for (int64_t room = 0; room <= most + 1; room += 1 + most / 40) {
      const int64_t found = largest_batch(most, [&](int64_t batch) {
        CHECK(batch > 0);
        CHECK(batch <= most);
        return batch <= room;
      });
      CHECK(found == std::min(room, most) / step * step);
    }
  }
}

TEST_CASE("a count of bytes that is nearly right costs few trials, and no batch is tried twice") {
  for (const int64_t most : {28, 100, 384, 5000}) {
    for (const double share : {1.0, 0.97, 0.9, 0.02}) {
      std::vector<int64_t> tried;
      const int64_t found = largest_batch(most, [&](int64_t batch) {
        CHECK(std::find(tried.begin(), tried.end(), batch) == tried.end());
        tried.push_back(batch);
        return static_cast<double>(batch) <= share * static_cast<double>(most);
      });
      // From above 1, 2, 4, … steps down, then half of the last jump again and again.
      const int64_t step = batch_step(most), below = most / step - found / step;
      CHECK(std::ssize(tried) <= 1 + 2 * static_cast<int64_t>(std::bit_width(static_cast<uint64_t>(below))));
    }
  }
}

}  // namespace
}  // namespace attnlab
