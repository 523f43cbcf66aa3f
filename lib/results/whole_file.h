// HDF5 files that are written at once.
#pragma once

#include <filesystem>
#include <functional>

#include "results/hdf5.h"

namespace attnlab {

// Builds PATH.tmp (parent folders are made) with `fill`, and renames it over `path`. Throws RunError naming the
// path for whatever fails; then `path` is as it was.
void write_whole_file(const std::filesystem::path& path, const std::function<void(hid_t file)>& fill);

}  // namespace attnlab
