#include "experiment/inputs/provenance.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <fmt/format.h>
#include <sys/utsname.h>
#include <torch/version.h>

#include <Eigen/Core>
#include <boost/version.hpp>
#include <ctime>
#include <fstream>

#include "core/find_field.h"
#include "results/run_reader.h"
#include "revision.h"

namespace attnlab {
namespace {

std::string cpu_model() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown";
}

std::string operating_system() {
  utsname names{};
  return ::uname(&names) == 0 ? fmt::format("{} {} {}", names.sysname, names.release, names.machine)
                              : "unknown";
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text.data();
}

// The name of the GPU as the driver gives it, without needing the CUDA headers.
std::string device_name(torch::Device device) {
  if (!device.is_cuda()) return cpu_model();
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/driver/nvidia/gpus", error)) {
    std::ifstream in(entry.path() / "information");
    for (std::string line; std::getline(in, line);)
      if (line.starts_with("Model:")) return line.substr(line.find_first_not_of(" \t", 6));
  }
  return "CUDA device";
}

}  // namespace

FlatFields machine_facts(torch::Device device) {
  return {{"revision", std::string(ATTNLAB_REVISION)},
          {"started", utc_now()},
          {"device", std::string(device.is_cuda() ? "cuda" : "cpu")},
          {"device_name", device_name(device)},
          {"cpu", cpu_model()},
          {"operating_system", operating_system()},
          {"threads", static_cast<int64_t>(at::get_num_threads())},
          {"torch", std::string(TORCH_VERSION)},
          {"eigen", fmt::format("{}.{}.{}", EIGEN_WORLD_VERSION, EIGEN_MAJOR_VERSION, EIGEN_MINOR_VERSION)},
          {"boost", std::string(BOOST_LIB_VERSION)},
          {"hdf5", hdf5_version()},
          {"compiler", std::string(__VERSION__)}};
}

FlatFields provenance_of(const Base& base, const Data& data, torch::Device device) {
  FlatFields facts = machine_facts(device);
  facts.emplace_back("weights_sha256", base.weights_sha256);
  facts.emplace_back("tokenizer_sha256", base.tokenizer_sha256);
  facts.emplace_back("data_sha256", data.sha256);
  return facts;
}

int64_t threads_in(const FlatFields& provenance) {
  const auto* threads = find_field<int64_t>(provenance, "threads");
  return threads ? *threads : 0;
}

torch::Device find_device(DeviceChoice choice) {
  const bool has_cuda = choice != DeviceChoice::cpu && torch::cuda::is_available();
  if (choice == DeviceChoice::cuda && !has_cuda)
    throw InputError(
        BadInput{.key = "device", .found = "'cuda'", .expected = "auto or cpu: no CUDA device is usable here"});
  return has_cuda ? torch::Device(torch::kCUDA) : torch::Device(torch::kCPU);
}

}  // namespace attnlab
