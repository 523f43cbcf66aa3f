// Which GPU a rank computes on.
#pragma once

#include <cstdint>
#include <string>

namespace attnlab {

// Makes the GPU of this rank the current one of this process: the local rank's, counted from ATTNLAB_FIRST_GPU
// (0) on, or the only one that it sees. Returns what no other GPU is called, with the machine's name; "" where
// there is none. Throws InputError if there are fewer.
std::string choose_gpu(int64_t local_rank);

// Bytes of memory of the current GPU; 0: there is none.
int64_t gpu_bytes();

}  // namespace attnlab
