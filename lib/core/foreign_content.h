// What stands in a file in place of what its name promises, told by its first bytes: a git-lfs pointer where
// the file was never downloaded, a web page where a server answered with one, another format under a new name.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace attnlab {

struct ForeignContent {
  std::string found;     // "a git-lfs pointer: the file itself was not downloaded"
  std::string expected;  // what to do
};

// nullopt: nothing that is known. Formats whose own first bytes may be any (safetensors begins with a length)
// are asked about only once they turn out wrong.
std::optional<ForeignContent> foreign_content(std::string_view bytes);

// Throws InputError naming the file if its bytes are one of these.
void refuse_foreign_content(const std::filesystem::path& file, std::string_view bytes);

}  // namespace attnlab
