#include <fcntl.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <tuple>

#include "checkpoint/json.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/safetensors_header.h"
#include "core/errors.h"
#include "core/files.h"

namespace attnlab {
namespace {

namespace fs = std::filesystem;

// "PATH.tmp", removed again unless it is published.
class TemporaryFile {
 public:
  explicit TemporaryFile(const fs::path& path) : path_(path), temporary_(path.string() + ".tmp") {
    std::error_code ignored;  // the next line gives the reason
    if (path.has_parent_path()) fs::create_directories(path.parent_path(), ignored);
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (descriptor_ < 0) fail("cannot create");
  }
  ~TemporaryFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
    if (!published_) ::unlink(temporary_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  void write(const char* data, size_t size) {
    while (size > 0) {  // one call writes at most 2 GiB
      const ssize_t written = ::write(descriptor_, data, size);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) fail("cannot write");
      data += written;
      size -= static_cast<size_t>(written);
    }
  }

  void publish() {
    publish_file(temporary_, path_);
    published_ = true;
  }

 private:
  [[noreturn]] void fail(const char* what) const {
    throw RunError(fmt::format("{}: {}: {}", temporary_.string(), what, std::strerror(errno)));
  }

  fs::path path_, temporary_;
  int descriptor_ = -1;
  bool published_ = false;
};

struct Slot {
  const std::string* name;
  const torch::Tensor* tensor;
  size_t dtype;  // row of dtype_rows()
};

size_t dtype_row(const std::string& name, torch::ScalarType type) {
  std::vector<std::string> known;
  for (size_t row = 0; row < dtype_rows().size(); ++row) {
    if (dtype_rows()[row].type == type) return row;
    known.emplace_back(torch::toString(dtype_rows()[row].type));
  }
  throw InputError({.key = name,
                    .found = std::string("a tensor of ") + torch::toString(type),
                    .expected = fmt::format("one of {}", fmt::join(known, ", "))});
}

std::vector<Slot> layout(const TensorList& tensors) {
  std::vector<Slot> slots;
  for (const auto& [name, tensor] : tensors) {
    ATTNLAB_CHECK(tensor.defined() && tensor.layout() == torch::kStrided && !tensor.is_meta());
    if (name == kMetadataKey)
      throw InputError(
          {.key = name, .found = "a tensor of that name", .expected = "a name that is not reserved"});
    slots.push_back({&name, &tensor, dtype_row(name, tensor.scalar_type())});
  }
  std::stable_sort(slots.begin(), slots.end(), [](const Slot& a, const Slot& b) { return a.dtype < b.dtype; });
  return slots;
}

// JSON text in quotes. Throws InputError on bytes that are not UTF-8.
std::string quoted(const std::string& text) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception&) {
    throw InputError({.key = printable(text), .found = "bytes that are not UTF-8", .expected = "UTF-8"});
  }
}

// The header with its length before it, padded so that the data begins at a multiple of 8.
std::string header_bytes(const std::vector<Slot>& slots, const std::map<std::string, std::string>& metadata) {
  std::vector<std::string> entries;
  if (!metadata.empty()) {
    std::vector<std::string> texts;
    for (const auto& [key, text] : metadata) texts.push_back(quoted(key) + ":" + quoted(text));
    entries.push_back(fmt::format("{}:{{{}}}", quoted(std::string(kMetadataKey)), fmt::join(texts, ",")));
  }
  uint64_t begin = 0;
  for (const auto& slot : slots) {
    const uint64_t end = begin + slot.tensor->nbytes();
    entries.push_back(fmt::format(R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                                  quoted(*slot.name), dtype_rows()[slot.dtype].name,
                                  fmt::join(slot.tensor->sizes(), ","), begin, end));
    begin = end;
  }
  std::string text = fmt::format("{{{}}}", fmt::join(entries, ","));
  text.resize((text.size() + 7) / 8 * 8, ' ');
  if (text.size() > kLargestHeader)
    throw InputError({.found = fmt::format("names and shapes of {} bytes", text.size()),
                      .expected = fmt::format("at most {} (safetensors)", kLargestHeader)});
  const uint64_t length = text.size();
  std::string bytes(kLengthBytes, '\0');
  std::memcpy(bytes.data(), &length, kLengthBytes);
  return bytes + text;
}

}  // namespace

void write_safetensors(const fs::path& path, const TensorList& tensors,
                       const std::map<std::string, std::string>& metadata) {
  const auto slots = layout(tensors);
  const std::string header = header_bytes(slots, metadata);  // complains before the file is there
  TemporaryFile file(path);
  file.write(header.data(), header.size());
  for (const auto& slot : slots) {
    const auto values = slot.tensor->detach().to(torch::kCPU).resolve_neg().contiguous();
    if (values.numel() > 0) file.write(static_cast<const char*>(values.data_ptr()), values.nbytes());
  }
  file.publish();
}

}  // namespace attnlab
