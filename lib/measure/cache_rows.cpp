#include "measure/cache_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "config/document.h"
#include "core/errors.h"
#include "core/find_field.h"

namespace attnlab {
namespace {

bool is_of(const CacheRow& row, const StudiedModel& model, const CacheSetting& setting) {
  return row.arm == model.name && row.settings == setting.text;
}

std::string score_text(const CacheRow& row) {
  if (row.measure == "log_perplexity") return fmt::format("perplexity {:.3f}", std::exp(row.value));
  return fmt::format("{} {:.1f} %", row.measure, 100 * row.value);
}

}  // namespace

std::string cache_line(const std::vector<CacheRow>& rows) {
  if (rows.empty()) return "";
  const CacheRow& first = rows.front();
  std::vector<std::string> scores;
  for (const CacheRow& row : rows) scores.push_back(score_text(row));
  return fmt::format("{} | {} | {:.1f} bytes a token at 4K | held {:.4f} of what is counted | {:.2f} ms | {}\n",
                     first.arm, first.settings.empty() ? "as computed" : first.settings, first.bytes_4k / 4096,
                     first.held_ratio, first.ms_per_token, join(scores));
}

CacheFile::CacheFile(std::string path, const CacheStudy& study, const std::string& dtype, FlatFields facts)
    : path_(std::move(path)), facts_(std::move(facts)) {
  facts_.emplace_back("study", to_yaml(flatten(study)));
  facts_.emplace_back("dtype", dtype);
  if (!std::filesystem::exists(path_)) return;
  measured_ = read_measurements(path_);
  for (const std::string key : {"study", "dtype"}) {
    const auto *theirs = find_field<std::string>(measured_.provenance, key),
               *ours = find_field<std::string>(facts_, key);
    if (!theirs || *theirs != *ours)
      throw InputError(BadInput{.file = path_,
                                .found = "rows of another " + key,
                                .expected = "those of this one; remove the file, or name another"});
  }
  for (const auto& [key, value] : measured_.provenance)
    if (key.ends_with(".weights_sha256")) facts_.emplace_back(key, value);
}

bool CacheFile::has(const StudiedModel& model, const CacheSetting& setting) const {
  return std::any_of(measured_.caches.begin(), measured_.caches.end(),
                     [&](const CacheRow& row) { return is_of(row, model, setting); });
}

bool CacheFile::lacks_time(const StudiedModel& model, const CacheSetting& setting) const {
  return std::any_of(measured_.caches.begin(), measured_.caches.end(), [&](const CacheRow& row) {
    return is_of(row, model, setting) && std::isnan(row.ms_per_token);
  });
}

void CacheFile::set_time(const StudiedModel& model, const CacheSetting& setting, double ms) {
  for (CacheRow& row : measured_.caches)
    if (is_of(row, model, setting)) row.ms_per_token = ms;
}

void CacheFile::set_weights(const StudiedModel& model, const std::string& sha256) {
  const std::string key = model.name + ".weights_sha256";
  const auto* theirs = find_field<std::string>(facts_, key);
  if (!theirs)
    facts_.emplace_back(key, sha256);
  else if (*theirs != sha256)
    throw InputError(BadInput{.file = path_,
                              .key = key,
                              .found = fmt::format("rows of weights {:.12}…, and those of {} are {:.12}…",
                                                   *theirs, model.path, sha256),
                              .expected = "the same weights; name another file"});
}

void CacheFile::add(std::vector<CacheRow> rows) {
  for (CacheRow& row : rows) measured_.caches.push_back(std::move(row));
  measured_.provenance = facts_;
  write_measurements(path_, measured_);
}

}  // namespace attnlab
