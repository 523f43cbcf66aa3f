// Rows of measure_caches: told in a line, and kept as they come.
#pragma once

#include <string>
#include <vector>

#include "measure/cache_study.h"
#include "results/measurements.h"

namespace attnlab {

// What one way of keeping a model's cache came to; "" without rows.
std::string cache_line(const std::vector<CacheRow>& rows);

// The file as it grows: what a call before measured is there already.
class CacheFile {
 public:
  // `facts`: of this call. Throws InputError for a file of another study or another type of numbers.
  CacheFile(std::string path, const CacheStudy& study, const std::string& dtype, FlatFields facts);
  bool has(const StudiedModel& model, const CacheSetting& setting) const;
  // It has rows, and they were not timed.
  bool lacks_time(const StudiedModel& model, const CacheSetting& setting) const;
  // Not written yet.
  void set_time(const StudiedModel& model, const CacheSetting& setting, double ms);
  // Which weights the rows of a model are of. Throws InputError where the file has rows of others.
  void set_weights(const StudiedModel& model, const std::string& sha256);
  // Writes the file.
  void add(std::vector<CacheRow> rows);

 private:
  std::string path_;
  FlatFields facts_;
  Measurements measured_;
};

}  // namespace attnlab
