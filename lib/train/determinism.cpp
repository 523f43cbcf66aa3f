#include "train/determinism.h"

#include <ATen/Context.h>

#include <cstdlib>

namespace attnlab {

void prepare_determinism() { ::setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0); }

DeterministicScope::DeterministicScope(bool on, torch::Device device)
    : on_(on && device.is_cuda()),
      algorithms_(at::globalContext().deterministicAlgorithms()),
      warn_only_(at::globalContext().deterministicAlgorithmsWarnOnly()),
      cudnn_(at::globalContext().deterministicCuDNN()),
      benchmark_(at::globalContext().benchmarkCuDNN()),
      fill_(at::globalContext().deterministicFillUninitializedMemory()) {
  if (!on_) return;
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  at::globalContext().setDeterministicCuDNN(true);
  at::globalContext().setBenchmarkCuDNN(false);
  at::globalContext().setDeterministicFillUninitializedMemory(false);  // for debugging; costs time
}

DeterministicScope::~DeterministicScope() {
  if (!on_) return;
  at::globalContext().setDeterministicAlgorithms(algorithms_, warn_only_);
  at::globalContext().setDeterministicCuDNN(cudnn_);
  at::globalContext().setBenchmarkCuDNN(benchmark_);
  at::globalContext().setDeterministicFillUninitializedMemory(fill_);
}

}  // namespace attnlab
