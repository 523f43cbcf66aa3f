#include "torch_program.h"

#include <ATen/Parallel.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <unistd.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "checkpoint/dtypes.h"
#include "core/cores.h"

namespace attnlab {

std::string torch_message(const std::exception& error) {
  const auto* from_torch = dynamic_cast<const c10::Error*>(&error);
  return from_torch ? from_torch->what_without_backtrace() : error.what();
}

namespace {

ProgramText with_torch_message(ProgramText text) {
  text.message = torch_message;
  return text;
}

// The runtime reads its waiting policy before main, so that the program begins again with it.
void wait_passively(char** argv) {
  for (const char* name : {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"})
    if (std::getenv(name)) return;
  setenv("OMP_WAIT_POLICY", "passive", 1);
  std::error_code failed;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", failed);
  if (!failed) execv(program.c_str(), argv);
}

// Tensors of up to 32 MB (glibc's limit) and as much as a step frees stay with the program for the next one. By
// its own rules glibc gives them back, and each step would get its memory anew, page by page.
void keep_freed_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
}

}  // namespace

TorchProgram::TorchProgram(ProgramText text, const int64_t* own_threads)
    : Program(with_torch_message(std::move(text))), own_threads_(own_threads) {
  if (!own_threads_) option("threads", threads_, "N", "CPU threads; 0: as many as cores that it may use");
}

void TorchProgram::begin(char** argv) const {
  const int64_t given = own_threads_ ? *own_threads_ : threads_;
  require_range("--threads", given, 0, 4096);
  const int64_t threads = given > 0 ? given : usable_cores();
  if (threads > 1) wait_passively(argv);
  keep_freed_memory();
  if (!own_threads_) at::set_num_threads(static_cast<int>(threads));
}

void TorchProgram::end() {
  if (const std::string note = starvation_note(cpu_use()); !note.empty()) print_notes({note});
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

std::vector<torch::Device> parse_devices(const std::string& text) {
  std::vector<torch::Device> devices;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    devices.push_back(parse_device(text.substr(begin, end - begin)));
    begin = end + 1;
  }
  return devices;
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
