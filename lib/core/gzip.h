// Files that may be compressed.
#pragma once

#include <filesystem>
#include <string>

namespace attnlab {

// The whole file; one that begins as gzip does, or is named *.gz, is decompressed (several members count as one
// text, zeros behind them as nothing). Throws InputError naming the path: no readable file, no gzip, cut off,
// damaged.
std::string read_text_file(const std::filesystem::path& path);

// Whether the name ends with `extension`, or with it and ".gz".
bool has_text_extension(const std::filesystem::path& path, const std::string& extension);

}  // namespace attnlab
