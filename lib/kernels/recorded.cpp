#include "kernels/recorded.h"

#ifdef ATTNLAB_CUDA
#include <ATen/cuda/CUDAContext.h>
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#endif

namespace attnlab {

#ifdef ATTNLAB_CUDA
namespace {

class Graph final : public Recording {
 public:
  void record(at::cuda::MempoolId_t pool, const std::function<void()>& compute) {
    graph_.capture_begin(pool);
    try {
      compute();
    } catch (...) {
      graph_.capture_end();
      throw;
    }
    graph_.capture_end();
  }
  void replay() override { graph_.replay(); }

 private:
  at::cuda::CUDAGraph graph_;
};

}  // namespace

// Streams are not given out anew: libraries keep a workspace for each.
struct Recorder::Impl {
  explicit Impl(torch::Device device)
      : stream(at::cuda::getStreamFromPool(/*isHighPriority=*/false, device.index())),
        pool(at::cuda::graph_pool_handle()) {}
  c10::cuda::CUDAStream stream;
  at::cuda::MempoolId_t pool;
};

bool Recorder::available(torch::Device device) { return device.is_cuda(); }

Recorder::Recorder(torch::Device device) : impl_(std::make_unique<Impl>(device)) {}

std::unique_ptr<Recording> Recorder::record(const std::function<void()>& compute) {
  at::cuda::CUDAEvent before;
  before.record(at::cuda::getCurrentCUDAStream(impl_->stream.device_index()));
  before.block(impl_->stream);
  // What the allocator keeps for later: it can't make room of it while a stream is recorded.
  c10::cuda::CUDACachingAllocator::emptyCache();
  const c10::cuda::CUDAStreamGuard guard(impl_->stream);  // the default stream can't be recorded
  auto graph = std::make_unique<Graph>();
  graph->record(impl_->pool, compute);
  return graph;
}

#else

struct Recorder::Impl {};

bool Recorder::available(torch::Device) { return false; }

Recorder::Recorder(torch::Device) { TORCH_CHECK(false, "built without CUDA"); }

std::unique_ptr<Recording> Recorder::record(const std::function<void()>&) {
  TORCH_CHECK(false, "built without CUDA");
}

#endif

Recorder::~Recorder() = default;

}  // namespace attnlab
