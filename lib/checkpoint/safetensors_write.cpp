#include "checkpoint/safetensors.h"
#include "checkpoint/safetensors_layout.h"
#include "checkpoint/temporary_file.h"

namespace attnlab {

void write_safetensors(const std::filesystem::path& path, const TensorList& tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<TensorSlot> slots;
  for (const auto& [name, tensor] : tensors) slots.push_back(slot_of(name, tensor));
  sort_slots(slots);
  const std::string header = header_bytes(slots, metadata);  // complains before the file is there
  TemporaryFile file(path.string() + ".tmp");
  file.write(header);
  for (const auto& slot : slots) {
    const auto values = plain_values(tensors.at(slot.name));
    if (slot.bytes > 0) file.write(static_cast<const char*>(values.data_ptr()), slot.bytes);
  }
  file.publish(path);
}

}  // namespace attnlab
