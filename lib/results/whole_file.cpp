#include "results/whole_file.h"

#include <system_error>

#include "core/errors.h"
#include "core/files.h"

namespace attnlab {
namespace fs = std::filesystem;

void write_whole_file(const fs::path& path, const std::function<void(hid_t file)>& fill) {
  const fs::path temporary = path.string() + ".tmp";
  try {
    if (path.has_parent_path()) fs::create_directories(path.parent_path());
    hdf5::Handle file = hdf5::open_file(temporary, hdf5::Mode::create);
    fill(file);
    file.close("cannot be closed");
  } catch (const std::exception& error) {
    std::error_code ignored;
    fs::remove(temporary, ignored);
    throw RunError(path.string() + ": " + error.what());
  }
  publish_file(temporary, path);
}

}  // namespace attnlab
