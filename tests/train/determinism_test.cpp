#include "train/determinism.h"

#include <ATen/Context.h>

#include "catch.h"
#include "small_run.h"

namespace attnlab {
namespace {

bool deterministic() { return at::globalContext().deterministicAlgorithms(); }

TEST_CASE("determinism is asked for on a GPU, while the scope lives") {
  const bool cudnn = at::globalContext().deterministicCuDNN();
  REQUIRE_FALSE(deterministic());
  {
    const DeterministicScope scope(true, torch::kCUDA);
    CHECK(deterministic());
    CHECK_FALSE(at::globalContext().deterministicAlgorithmsWarnOnly());
    CHECK(at::globalContext().deterministicCuDNN());
    {
      const DeterministicScope inner(false, torch::kCUDA);
      CHECK(deterministic());
    }
    CHECK(deterministic());
  }
  CHECK_FALSE(deterministic());
  CHECK(at::globalContext().deterministicCuDNN() == cudnn);
  const DeterministicScope off(false, torch::kCUDA), cpu(true, torch::kCPU);
  CHECK_FALSE(deterministic());
}

TEST_CASE("the setting of cuBLAS is made, and one of the user's stays") {
  ::unsetenv("CUBLAS_WORKSPACE_CONFIG");
  prepare_determinism();
  CHECK(std::string(std::getenv("CUBLAS_WORKSPACE_CONFIG")) == ":4096:8");
  ::setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8", 1);
  prepare_determinism();
  CHECK(std::string(std::getenv("CUBLAS_WORKSPACE_CONFIG")) == ":16:8");
}

TEST_CASE("two deterministic runs on a GPU have the same bits") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  prepare_determinism();
  const torch::Device device(torch::kCUDA);
  const DeterministicScope scope(true, device);
  for (const Precision precision : {Precision::float32, Precision::bf16_mixed}) {
    const auto run = [&] {
      const auto decoder = test::fresh(MlaOrthogonal::Config{}, {"all"});
      decoder->to(device);
      Trainer trainer(*decoder, {.steps = 20, .lr = 3e-3, .precision = precision});
      for (int64_t step = 1; step <= 20; ++step) trainer.step(step, {test::make_batch(8, 32, 1, step)});
      return decoder;
    };
    CHECK(test::distance(*run(), *run()) == 0);
  }
}

}  // namespace
}  // namespace attnlab
