// Bytes as a file of JSON objects: refused with InputError, or records that are the same behind gzip and as one
// array.
#include <zlib.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/files.h"
#include "core/json.h"
#include "core/jsonl.h"
#include "fuzz_file.h"

using namespace attnlab;

namespace {

using Objects = std::vector<nlohmann::json>;

Objects objects_of(std::string_view bytes) {
  const MemoryFile file(bytes);
  Objects objects;
  int64_t line = 0;
  for_each_record(file.path(), [&](const Record& record) {
    ATTNLAB_CHECK(record.object.is_object() && record.line >= std::max<int64_t>(line, 1));
    line = record.line;
    objects.push_back(record.object);
    read_or_refuse([&] { record.text("text"); });
  });
  ATTNLAB_CHECK(!objects.empty());
  return objects;
}

std::string gzipped(std::string_view bytes) {
  constexpr int kGzipHeader = 16, kMemoryLevel = 8;
  z_stream stream{};
  ATTNLAB_CHECK(deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, MAX_WBITS + kGzipHeader, kMemoryLevel,
                             Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  ATTNLAB_CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes = as_text(data, size);
  Objects objects;
  read_or_refuse([&] { objects = objects_of(bytes); });
  const bool packed = bytes.starts_with("\x1f\x8b");
  if (!packed && !is_lfs_pointer(bytes)) {
    Objects same;
    read_or_refuse([&] { same = objects_of(gzipped(bytes)); });
    ATTNLAB_CHECK(same == objects);
  }
  if (objects.empty()) return 0;
  std::string array = "[";
  for (const auto& object : objects) array += (array.size() > 1 ? ",\n" : "") + object.dump();
  ATTNLAB_CHECK(objects_of(array + "]") == objects);
  return 0;
}
