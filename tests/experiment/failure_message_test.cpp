// What a person reads when memory runs out.
#include "experiment/run/failure_message.h"

#include <functional>

#include "catch.h"

namespace attnlab {
namespace {

// As the CUDA allocator words it.
constexpr const char* cuda_text =
    "CUDA out of memory. Tried to allocate 37.10 GiB. GPU 0 has a total capacity of 79.11 GiB of which 12.50 "
    "GiB "
    "is free. Including non-PyTorch memory, this process has 66.60 GiB memory in use. Of the allocated memory "
    "60.00 GiB is allocated by PyTorch, and 5.10 GiB is reserved by PyTorch but unallocated. If reserved but "
    "unallocated memory is large try setting PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True to avoid "
    "fragmentation.  See documentation for Memory Management";

std::string message_of(const TrainConfig& train, const std::function<void()>& action) {
  try {
    action();
  } catch (const c10::Error& error) {
    return failure_message(error, train);
  }
  return "";
}

std::string out_of_memory(const TrainConfig& train) {
  return message_of(train, [] { TORCH_CHECK_WITH(OutOfMemoryError, false, cuda_text); });
}

TEST_CASE("out of memory names the settings and half of the batch with twice the micro-batches") {
  const std::string text = out_of_memory({.batch_size = 16, .micro_batches = 3, .sequence_length = 2048});
  CHECK_THAT(text,
             ContainsSubstring("out of memory with batch_size 16, micro_batches 3, sequence_length 2048"));
  CHECK_THAT(text, ContainsSubstring("try train.batch_size 8 with train.micro_batches 6"));
  CHECK_THAT(text, ContainsSubstring("Tried to allocate 37.10 GiB") && ContainsSubstring("12.50 GiB is free)"));
  CHECK(text.find("non-PyTorch") == std::string::npos);
  CHECK(text.find('\n') == std::string::npos);
  CHECK(text.size() < 500);  // fits the status of a run file
}

TEST_CASE("an odd batch is divided so that a step keeps its examples") {
  CHECK_THAT(out_of_memory({.batch_size = 15, .micro_batches = 2}),
             ContainsSubstring("try train.batch_size 5 with train.micro_batches 6"));
  CHECK_THAT(out_of_memory({.batch_size = 7, .micro_batches = 1}),
             ContainsSubstring("try train.batch_size 1 with train.micro_batches 7"));
  const std::string one = out_of_memory({.batch_size = 1, .micro_batches = 7, .sequence_length = 512});
  CHECK_THAT(one, ContainsSubstring("try train.sequence_length below 512"));
  CHECK(one.find("train.batch_size") == std::string::npos);
}

TEST_CASE("the CPU's allocator counts as out of memory, and other errors keep their words") {
  TrainConfig train;
  train.batch_size = 4;
  // Its words; some builds of torch abort after them instead of throwing.
  CHECK_THAT(message_of(train,
                        [] {
                          TORCH_CHECK(
                              false,
                              "DefaultCPUAllocator: can't allocate memory: you tried to allocate 64 bytes.");
                        }),
             ContainsSubstring("out of memory with batch_size 4") &&
                 ContainsSubstring("try train.batch_size 2 with train.micro_batches 2"));
  CHECK_THAT(message_of(train,
                        [] {
                          torch::ones({2, 3}).matmul(torch::ones({2, 3}));
                        }),
             ContainsSubstring("shapes cannot be multiplied"));
}

}  // namespace
}  // namespace attnlab
