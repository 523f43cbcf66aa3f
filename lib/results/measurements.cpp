#include "results/measurements.h"

#include "core/errors.h"
#include "results/archive.h"
#include "results/attributes.h"
#include "results/whole_file.h"
#include "results/whole_table.h"

namespace attnlab {
namespace fs = std::filesystem;
namespace {

constexpr const char* kMeasurementsFormat = "attnlab measurements 1";

// Calls each(name, rows) for every kind of row.
template <class Self, class Each>
void each_table(Self& self, Each&& each) {
  each("conversions", self.conversions);
  each("norms", self.norms);
  each("grams", self.grams);
  each("decode_steps", self.decode_steps);
  each("served", self.served);
  each("fits", self.fits);
  each("caches", self.caches);
}

bool is_measured(const fs::path& path) { return path.string().ends_with(measurements_ending); }

[[noreturn]] void refuse_measurements(const fs::path& path, const std::string& found) {
  throw InputError(BadInput{.file = path.string(), .found = found, .expected = "an HDF5 file of measurements"});
}

}  // namespace

void write_measurements(const fs::path& path, const Measurements& measurements) {
  if (!is_measured(path))
    throw InputError(BadInput{.file = path.string(),
                              .found = "this name",
                              .expected = std::string("one that ends in ") + measurements_ending});
  write_whole_file(path, [&](hid_t file) {
    write_attribute(file, "format", std::string(kMeasurementsFormat));
    {
      const hdf5::Handle provenance = hdf5::create_group(file, "provenance");
      for (const auto& [key, value] : measurements.provenance) write_attribute(provenance, key, value);
    }
    each_table(measurements, [&](const char* name, const auto& rows) {
      if (!rows.empty()) write_table(file, name, rows);
    });
  });
}

Measurements read_measurements(const fs::path& path) {
  std::error_code ignored;
  if (!result_exists(path)) refuse_measurements(path, fs::exists(path, ignored) ? "no file" : "nothing");
  try {
    const hdf5::Handle file = hdf5::open_file(path, hdf5::Mode::read);
    if (read_format(file) != kMeasurementsFormat)
      refuse_measurements(path, "format '" + read_format(file) + "'");
    Measurements measurements{.path = path};
    measurements.provenance = read_attributes(hdf5::open_group(file, "provenance"));
    each_table(measurements, [&]<class Row>(const char* name, std::vector<Row>& rows) {
      rows = read_table<Row>(file, name);
    });
    return measurements;
  } catch (const hdf5::Error& error) {
    refuse_measurements(path, error.what());
  }
}

std::vector<Measurements> find_measurements(const fs::path& folder_or_file) {
  std::vector<fs::path> paths = result_files(folder_or_file);
  std::erase_if(paths, [](const fs::path& path) { return !is_measured(path) || !result_exists(path); });
  std::vector<Measurements> found;
  for (const auto& path : paths) found.push_back(read_measurements(path));
  return found;
}

}  // namespace attnlab
