#include "train/step_graph.h"

#include "core/errors.h"

#ifdef ATTNLAB_CUDA
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#endif

namespace attnlab {

#ifdef ATTNLAB_CUDA
namespace {

using Shapes = std::vector<std::vector<int64_t>>;

std::vector<torch::Tensor> tensors_of(const LossInput& input) {
  return {input.ids_BT, input.positions_P, input.targets_P, input.document_positions_BT,
          input.document_lengths_BT};
}

// The number of targets is part of the record, too: losses are divided by it.
Shapes shapes_of(const std::vector<LossInput>& inputs, int64_t targets) {
  Shapes shapes{{targets}};
  for (const auto& input : inputs)
    for (const auto& tensor : tensors_of(input))
      shapes.push_back(tensor.defined() ? tensor.sizes().vec() : std::vector<int64_t>{});
  return shapes;
}

LossInput copy_of(const LossInput& input) {
  const auto copy = [](const torch::Tensor& tensor) { return tensor.defined() ? tensor.clone() : tensor; };
  return {copy(input.ids_BT), copy(input.positions_P), copy(input.targets_P), copy(input.document_positions_BT),
          copy(input.document_lengths_BT)};
}

void copy_into(const LossInput& to, const LossInput& from) {
  const auto targets = tensors_of(to), sources = tensors_of(from);
  for (size_t i = 0; i < targets.size(); ++i)
    if (targets[i].defined()) targets[i].copy_(sources[i], /*non_blocking=*/true);
}

StepTensors copy_of(const StepTensors& step) {
  const auto copy = [](const torch::Tensor& tensor) { return tensor.defined() ? tensor.clone() : tensor; };
  return {copy(step.loss),       copy(step.gradient_norm),  copy(step.nonfinite), copy(step.stop),
          copy(step.divergence), copy(step.layer_distance), copy(step.objective)};
}

void wait_for(const c10::cuda::CUDAStream& first, const c10::cuda::CUDAStream& then) {
  at::cuda::CUDAEvent event;
  event.record(first);
  event.block(then);
}

}  // namespace

struct StepGraph::Impl {
  Impl(torch::Device device, bool ranks)
      : stream(at::cuda::getStreamFromPool(/*isHighPriority=*/false, device.index())),
        mode(ranks ? cudaStreamCaptureModeThreadLocal : cudaStreamCaptureModeGlobal) {}

  c10::cuda::CUDAStream stream;
  cudaStreamCaptureMode mode;
  Shapes last, recorded;
  int64_t seen = 0, replayed = 0;
  std::unique_ptr<at::cuda::CUDAGraph> graph;
  std::vector<LossInput> inputs;
  std::vector<torch::Tensor> alive;
  StepTensors outputs;
};

bool StepGraph::available(torch::Device device) { return device.is_cuda(); }

StepGraph::StepGraph(torch::Device device, bool ranks) : impl_(std::make_unique<Impl>(device, ranks)) {
  ATTNLAB_CHECK(available(device));
}

StepTensors StepGraph::run(int64_t targets, const std::function<std::vector<LossInput>()>& upload,
                           const std::function<StepTensors(const std::vector<LossInput>&)>& compute,
                           const std::function<std::vector<torch::Tensor>()>& alive) {
  Impl& s = *impl_;
  const auto callers = at::cuda::getCurrentCUDAStream(s.stream.device_index());
  wait_for(callers, s.stream);
  StepTensors result;
  {
    const c10::cuda::CUDAStreamGuard guard(s.stream);
    const auto inputs = upload();
    const Shapes shapes = shapes_of(inputs, targets);
    s.seen = shapes == s.last ? s.seen + 1 : 1;
    s.last = shapes;
    if (shapes != s.recorded && s.seen > kStepsBefore) {
      s.graph.reset();
      s.outputs = {};
      s.inputs.clear();
      for (const auto& input : inputs) s.inputs.push_back(copy_of(input));
      // What the steps before it left cached is of no use to the record, which has memory of its own.
      c10::cuda::CUDACachingAllocator::emptyCache();
      s.graph = std::make_unique<at::cuda::CUDAGraph>();
      s.graph->capture_begin({0, 0}, s.mode);
      s.outputs = compute(s.inputs);
      s.graph->capture_end();
      s.alive = alive();
      s.recorded = shapes;
    }
    if (s.graph && shapes == s.recorded) {
      for (size_t i = 0; i < inputs.size(); ++i) copy_into(s.inputs[i], inputs[i]);
      s.graph->replay();
      ++s.replayed;
      result = copy_of(s.outputs);
    } else {
      result = compute(inputs);
    }
  }
  wait_for(s.stream, callers);
  return result;
}

#else

struct StepGraph::Impl {
  int64_t replayed = 0;
};

bool StepGraph::available(torch::Device) { return false; }

StepGraph::StepGraph(torch::Device, bool) { ATTNLAB_CHECK(false); }

StepTensors StepGraph::run(int64_t, const std::function<std::vector<LossInput>()>& upload,
                           const std::function<StepTensors(const std::vector<LossInput>&)>& compute,
                           const std::function<std::vector<torch::Tensor>()>&) {
  return compute(upload());
}

#endif

StepGraph::~StepGraph() = default;

int64_t StepGraph::replayed() const { return impl_->replayed; }

}  // namespace attnlab
