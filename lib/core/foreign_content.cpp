#include "core/foreign_content.h"

#include <array>

#include "core/errors.h"

namespace attnlab {
namespace {

struct Signature {
  std::string_view begin;
  const char* found;
  const char* expected;
};

constexpr const char* kFetch = "the file itself: download it, or run `git lfs pull` in its folder";
constexpr const char* kAgain = "the file itself: download it again";
constexpr const char* kSave =
    "the same model saved by Hugging Face's save_pretrained, which writes safetensors";

using namespace std::string_view_literals;

constexpr std::array<Signature, 12> kSignatures{
    {{"version https://git-lfs"sv, "a git-lfs pointer: the file itself was not downloaded", kFetch},
     {"<!DOCTYPE"sv, "a web page", kAgain},
     {"<!doctype"sv, "a web page", kAgain},
     {"<html"sv, "a web page", kAgain},
     {"<?xml"sv, "an XML page, as servers answer with on an error", kAgain},
     {"PK\x03\x04"sv, "a zip archive, as torch.save writes it", kSave},
     {"\x80\x02"sv, "a Python pickle, as torch.save writes it", kSave},
     {"\x80\x04"sv, "a Python pickle", kSave},
     {"GGUF"sv, "a GGUF file of llama.cpp", kSave},
     {"\x89HDF\r\n"sv, "an HDF5 file", kSave},
     {"\x1f\x8b"sv, "a gzip file", "the file unpacked (gunzip)"},
     {"\x28\xb5\x2f\xfd"sv, "a zstd file", "the file unpacked (unzstd)"}}};

}  // namespace

std::optional<ForeignContent> foreign_content(std::string_view bytes) {
  for (const auto& row : kSignatures)
    if (bytes.starts_with(row.begin)) return ForeignContent{row.found, row.expected};
  return std::nullopt;
}

void refuse_foreign_content(const std::filesystem::path& file, std::string_view bytes) {
  const auto foreign = foreign_content(bytes);
  if (!foreign) return;
  throw InputError(BadInput{.file = file.string(), .found = foreign->found, .expected = foreign->expected});
}

}  // namespace attnlab
