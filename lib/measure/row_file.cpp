#include "measure/row_file.h"

#include "core/find_field.h"

namespace attnlab {
namespace {

std::string command_in(const FlatFields& facts) {
  const auto* command = find_field<std::string>(facts, "command");
  return command ? *command : "";
}

}  // namespace

Measurements measurements_to_grow(const std::string& path, FlatFields facts) {
  Measurements measured;
  if (std::filesystem::exists(path)) measured = read_measurements(path);
  const std::string earlier = command_in(measured.provenance);
  for (auto& [key, value] : facts)
    if (key == "command" && !earlier.empty()) {
      std::string both = earlier;
      both += "\n" + std::get<std::string>(value);
      value = both;
    }
  measured.provenance = std::move(facts);
  return measured;
}

}  // namespace attnlab
