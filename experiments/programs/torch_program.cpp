#include "torch_program.h"

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <algorithm>

#include "checkpoint/dtypes.h"

namespace attnlab {

std::string torch_message(const std::exception& error) {
  const auto* from_torch = dynamic_cast<const c10::Error*>(&error);
  return from_torch ? from_torch->what_without_backtrace() : error.what();
}

torch::Device parse_device(const std::string& text) {
  if (text == "cpu") return torch::kCPU;
  const int64_t gpus = torch::cuda::is_available() ? static_cast<int64_t>(torch::cuda::device_count()) : 0;
  if (text == "auto") return gpus > 0 ? torch::kCUDA : torch::kCPU;
  std::vector<std::string> names{"auto", "cpu"};
  if (gpus > 0) names.emplace_back("cuda");
  for (int64_t i = 0; i < gpus; ++i) names.push_back(fmt::format("cuda:{}", i));
  require_name("--device", text, names);
  return {text};
}

void add_compute_options(Program& program, std::string& dtype, std::string& device) {
  program.option("dtype", dtype, "TYPE", "what weights and products are in: float32, bfloat16, float16")
      .option("device", device, "DEVICE", "cpu, cuda, cuda:N, or auto");
}

torch::ScalarType parse_dtype(const std::string& text) {
  std::vector<std::string> names;
  for (const auto& row : kComputingDtypes) names.emplace_back(row.first);
  require_name("--dtype", text, names);
  const auto* row = std::find_if(kComputingDtypes.begin(), kComputingDtypes.end(),
                                 [&](const auto& known) { return known.first == text; });
  return row->second;
}

}  // namespace attnlab
