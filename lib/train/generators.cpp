#include "train/generators.h"

#include <ATen/Context.h>

#include <mutex>

namespace attnlab {
namespace {

struct NamedGenerator {
  std::string name;
  at::Generator generator;
};

std::vector<NamedGenerator> generators_of(torch::Device device) {
  std::vector<NamedGenerator> out{{"generator/cpu", at::globalContext().defaultGenerator(torch::kCPU)}};
  if (device.is_cuda()) out.push_back({"generator/cuda", at::globalContext().defaultGenerator(device)});
  return out;
}

}  // namespace

TensorList generator_states(torch::Device device) {
  TensorList states;
  for (auto& [name, generator] : generators_of(device)) {
    const std::lock_guard lock(generator.mutex());
    states[name] = generator.get_state();
  }
  return states;
}

void restore_generators(const SafetensorsFile& state, torch::Device device) {
  for (auto& [name, generator] : generators_of(device)) {
    if (!state.has(name)) continue;
    const std::lock_guard lock(generator.mutex());
    generator.set_state(state.tensor(name).clone());
  }
}

}  // namespace attnlab
