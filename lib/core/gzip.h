// Files that may be compressed.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace attnlab {

// The whole file; one that begins as gzip does, or is named *.gz, is decompressed (several members count as one
// text, zeros behind them as nothing). Throws InputError naming the path: no readable file, no gzip, cut off,
// damaged.
std::string read_text_file(const std::filesystem::path& path);

// The bytes as one gzip member, the same ones each time (no time and no name in its header).
std::string gzipped(std::string_view bytes);

// Whether the name ends with `extension`, or with it and ".gz".
bool has_text_extension(const std::filesystem::path& path, const std::string& extension);

}  // namespace attnlab
