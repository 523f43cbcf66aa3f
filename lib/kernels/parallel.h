// Loops over the threads that torch's own operations run on.
#pragma once

#include <cstdint>
#include <functional>

namespace attnlab {

// work(begin, end) for parts of 0 … n of at least `grain` numbers, side by side. at::parallel_for, which is
// compiled where it is called, has one thread without the compiler's OpenMP, and with Clang's it would bring a
// second runtime with threads of its own.
void in_parallel(int64_t n, int64_t grain, const std::function<void(int64_t begin, int64_t end)>& work);

}  // namespace attnlab
