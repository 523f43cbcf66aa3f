#include "checkpoint/safetensors.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "checkpoint/mapped_file.h"
#include "checkpoint/safetensors_header.h"
#include "checkpoint/safetensors_layout.h"
#include "checkpoint/temporary_file.h"
#include "core/errors.h"
#include "core/foreign_content.h"
#include "core/json.h"

namespace attnlab {

static_assert(std::endian::native == std::endian::little, "tensors are mapped as the file has them");

struct SafetensorsFile::Contents {
  std::filesystem::path path;
  std::shared_ptr<const MappedFile> bytes;
  uint64_t data_start = 0;
  SafetensorsHeader header;
};

namespace {

// Few enough for torch to convert without waking its threads (it does from 32768), which on a busy machine
// takes ten times as long as the work; and a small buffer leaves no holes in the heap between the tensors.
constexpr int64_t kBlockNumbers = 1 << 14;
constexpr uint64_t kLookedAt = 64;  // bytes that tell what a file is instead

// The header's text; the file's length and its claim about the header's are compared before anything is read.
std::string_view header_text(const MappedFile& bytes, const std::string& file) {
  if (bytes.size() < kLengthBytes)
    throw InputError({.file = file,
                      .found = fmt::format("a file of {} bytes", bytes.size()),
                      .expected = "a safetensors file, which begins with 8 bytes of header length"});
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), kLengthBytes);
  const bool plausible = length <= kLargestHeader && length <= bytes.size() - kLengthBytes;
  if (!plausible) refuse_foreign_content(file, {bytes.data(), std::min<uint64_t>(bytes.size(), kLookedAt)});
  const std::string found = fmt::format("a header length of {}", length);
  if (length > kLargestHeader)
    throw InputError(
        {.file = file, .found = found, .expected = fmt::format("at most {} (safetensors)", kLargestHeader)});
  if (length > bytes.size() - kLengthBytes)
    throw InputError(
        {.file = file,
         .found = found,
         .expected = fmt::format("at most {}, the rest of the file", bytes.size() - kLengthBytes)});
  return {bytes.data() + kLengthBytes, length};
}

// A bool of any other value is undefined behaviour to read.
void check_bools(const char* begin, uint64_t size, const std::string& file, const std::string& name) {
  const auto* wrong = std::find_if(begin, begin + size, [](unsigned char byte) { return byte > 1; });
  if (wrong != begin + size)
    throw InputError({.file = file,
                      .key = printable(name),
                      .found = fmt::format("the byte {} in a BOOL tensor", static_cast<unsigned char>(*wrong)),
                      .expected = "0 or 1"});
}

// float16 ends at 65504, and from 65520 on numbers would become infinite in silence.
void check_fits_half(const torch::Tensor& block, const std::string& file, const std::string& name) {
  const auto size = block.abs();
  const auto beyond = (size >= 65520) & size.isfinite();
  if (!beyond.any().item<bool>()) return;
  throw InputError({.file = file,
                    .key = printable(name),
                    .found = fmt::format("{}", block.masked_select(beyond)[0].item<double>()),
                    .expected = "numbers within float16's 65504: read it as float32 or bfloat16"});
}

}  // namespace

SafetensorsFile::SafetensorsFile(std::shared_ptr<const Contents> contents) : contents_(std::move(contents)) {}

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
  auto contents = std::make_shared<Contents>();
  contents->path = path;
  contents->bytes = MappedFile::open(path);
  const auto text = header_text(*contents->bytes, path.string());
  contents->data_start = kLengthBytes + text.size();
  contents->header =
      parse_safetensors_header(text, contents->bytes->size() - contents->data_start, path.string());
  return SafetensorsFile(std::move(contents));
}

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : contents_->header.tensors) names.push_back(name);
  return names;
}

bool SafetensorsFile::has(const std::string& name) const { return contents_->header.tensors.count(name) > 0; }

const TensorEntry& SafetensorsFile::entry(const std::string& name) const {
  const auto found = contents_->header.tensors.find(name);
  if (found == contents_->header.tensors.end())
    throw InputError({.file = contents_->path.string(),
                      .key = printable(name),
                      .found = "no such tensor",
                      .expected = fmt::format("one of the file's {}", contents_->header.tensors.size()),
                      .nearest = nearest_printable(name, names())});
  return found->second;
}

torch::Tensor SafetensorsFile::tensor(const std::string& name) const {
  const TensorEntry& place = entry(name);
  const auto options = torch::TensorOptions().dtype(place.dtype);
  const uint64_t size = place.end - place.begin;
  if (size == 0) return torch::empty(place.shape, options);
  char* begin = contents_->bytes->data() + contents_->data_start + place.begin;
  if (place.dtype == torch::kBool) check_bools(begin, size, contents_->path.string(), name);
  if (reinterpret_cast<uintptr_t>(begin) % c10::elementSize(place.dtype) == 0)
    return torch::from_blob(
        begin, place.shape, [keep = contents_->bytes](void*) {}, options);
  auto copy = torch::empty(place.shape, options);
  std::memcpy(copy.data_ptr(), begin, size);
  return copy;
}

void SafetensorsFile::copy_to(const std::string& name, const torch::Tensor& into) const {
  const TensorEntry& place = entry(name);
  if (into.sizes().vec() != place.shape)
    throw InputError({.file = contents_->path.string(),
                      .key = printable(name),
                      .found = fmt::format("shape [{}]", fmt::join(place.shape, ", ")),
                      .expected = fmt::format("[{}]", fmt::join(into.sizes(), ", "))});
  const torch::NoGradGuard no_grad;
  const torch::Tensor whole = into.is_contiguous() ? into : torch::empty(place.shape, into.options());
  const torch::Tensor numbers = whole.view(-1);
  const auto width = static_cast<int64_t>(c10::elementSize(place.dtype));
  const bool straight = whole.is_cpu() && whole.scalar_type() == place.dtype;
  const bool narrows =
      whole.scalar_type() == torch::kHalf && at::isFloatingType(place.dtype) && place.dtype != torch::kHalf;
  const int64_t most = straight ? numbers.numel() : std::min(numbers.numel(), kBlockNumbers);
  const auto buffer = straight ? torch::Tensor() : torch::empty(most, place.dtype);
  for (int64_t begin = 0, n = 0; begin < numbers.numel(); begin += n) {
    n = std::min(most, numbers.numel() - begin);
    const auto target = numbers.narrow(0, begin, n);
    const auto block = straight ? target : buffer.narrow(0, 0, n);
    const auto bytes = static_cast<uint64_t>(n * width);
    const auto offset = contents_->data_start + place.begin + static_cast<uint64_t>(begin * width);
    contents_->bytes->read(offset, static_cast<char*>(block.data_ptr()), bytes);
    if (place.dtype == torch::kBool)
      check_bools(static_cast<char*>(block.data_ptr()), bytes, contents_->path.string(), name);
    if (narrows) check_fits_half(block, contents_->path.string(), name);
    if (!straight) target.copy_(block);
  }
  if (!into.is_contiguous()) into.copy_(whole);
}

std::vector<int64_t> SafetensorsFile::shape(const std::string& name) const { return entry(name).shape; }
torch::ScalarType SafetensorsFile::dtype(const std::string& name) const { return entry(name).dtype; }
const std::map<std::string, std::string>& SafetensorsFile::metadata() const {
  return contents_->header.metadata;
}
const std::filesystem::path& SafetensorsFile::path() const { return contents_->path; }

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
