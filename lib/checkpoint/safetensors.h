// safetensors files: named tensors in one file that can be memory-mapped. The format: safetensors_header.h.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tensor/torch.h"

namespace attnlab {

using TensorList = std::map<std::string, torch::Tensor>;

struct TensorEntry;

// A memory-mapped file. Copies share the mapping; nothing is read until a tensor's values are.
class SafetensorsFile {
 public:
  // Checks the whole header. Throws InputError naming the file and the tensor (the rules:
  // parse_safetensors_header).
  static SafetensorsFile open(const std::filesystem::path& path);

  // Sorted.
  std::vector<std::string> names() const;
  bool has(const std::string& name) const;
  // A CPU tensor over the mapped bytes, which it keeps alive; the values are copied only where the file has
  // them unaligned. Writing to it changes what later calls see, never the file. Throws InputError with the
  // nearest name if there is no such tensor, and for a BOOL tensor with a byte other than 0 and 1.
  torch::Tensor tensor(const std::string& name) const;
  // Reads a tensor's values into one of the same shape, of any element type, device and strides: in blocks,
  // past the mapping, so that nothing but `into` grows. Values written to the mapped tensor are not seen.
  // Throws InputError as tensor() does, for another shape, and for a number too large for float16; RunError if
  // the system can't read the file.
  void copy_to(const std::string& name, const torch::Tensor& into) const;
  // Known without touching the values. Throw InputError if there is no such tensor.
  std::vector<int64_t> shape(const std::string& name) const;
  torch::ScalarType dtype(const std::string& name) const;
  // The texts under "__metadata__"; empty if there are none.
  const std::map<std::string, std::string>& metadata() const;
  const std::filesystem::path& path() const;

 private:
  struct Contents;
  explicit SafetensorsFile(std::shared_ptr<const Contents> contents);
  const TensorEntry& entry(const std::string& name) const;
  std::shared_ptr<const Contents> contents_;
};

// Writes the file under a temporary name, fsyncs and renames it, so that `path` is never half written and may
// be a file that the tensors are mapped from. The bytes depend on names, values and metadata alone: wide
// elements come first (everything stays aligned), then in order of names, as the reference implementation does
// it. Tensors may be on any device and in any layout of strides; one at a time is copied if it must be.
// Throws InputError for a dtype or name that the format lacks, RunError if the system can't write (disk full).
void write_safetensors(const std::filesystem::path& path, const TensorList& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace attnlab
