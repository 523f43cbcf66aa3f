#include "ranks/device.h"

#include <fmt/format.h>

#include <cstdlib>

#include "core/errors.h"
#include "core/numbers.h"
#include "ranks/place.h"
#include "tensor/torch.h"

#ifdef ATTNLAB_CUDA
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAFunctions.h>
#endif

namespace attnlab {

#ifdef ATTNLAB_CUDA
std::string choose_gpu(int64_t local_rank) {
  if (!torch::cuda::is_available()) return "";
  const auto count = static_cast<int64_t>(torch::cuda::device_count());
  const char* first = std::getenv("ATTNLAB_FIRST_GPU");
  const int64_t wanted = count == 1 ? 0 : local_rank + parse_number<int64_t>(first ? first : "0").value_or(0);
  if (wanted >= count)
    throw InputError(BadInput{.key = "GPU",
                              .found = fmt::format("{} on {}", count, host_name()),
                              .expected = fmt::format("at least {}: one for each rank", wanted + 1)});
  c10::cuda::set_device(static_cast<c10::DeviceIndex>(wanted));
  std::string name = host_name() + " ";
  for (const char byte : at::cuda::getDeviceProperties(wanted)->uuid.bytes)
    name += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return name;
}
int64_t gpu_bytes() {
  if (!torch::cuda::is_available()) return 0;
  return static_cast<int64_t>(at::cuda::getCurrentDeviceProperties()->totalGlobalMem);
}
#else
int64_t gpu_bytes() { return 0; }
std::string choose_gpu(int64_t) { return ""; }
#endif

}  // namespace attnlab
