#include "model/families/json_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/add_once.h"
#include "core/errors.h"
#include "core/names.h"

namespace attnlab {

using nlohmann::json;

namespace {
// A value in an error: JSON, cut where it is long.
std::string shown_value(const json& value) {
  std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  if (text.size() > 80) text = text.substr(0, 77) + "...";
  return text;
}
constexpr int64_t kMostCount = int64_t{1} << 31;
bool is_positive(const json& value) {
  return value.is_number() && value.get<double>() > 0 && std::isfinite(value.get<double>());
}
}  // namespace

bool JsonKeys::has(const std::string& key) const {
  const auto found = object_.find(key);
  return found != object_.end() && !found->is_null();
}

void JsonKeys::refuse(const std::string& key, const std::string& expected) const {
  const auto found = object_.find(key);
  throw InputError(BadInput{.file = file_.string(),
                            .key = prefix_ + key,
                            .found = found == object_.end() ? "nothing" : shown_value(*found),
                            .expected = expected});
}

void JsonKeys::note_unused(const std::string& key, const std::string& why) const {
  if (!notes_) return;
  add_once(*notes_, fmt::format("{}: {}{}: {} is not used: {}", file_.string(), prefix_, key,
                                shown_value(object_.at(key)), why));
}

int64_t JsonKeys::count(const std::string& key) const {
  const auto found = object_.find(key);
  const bool valid =
      found != object_.end() && found->is_number_integer() && *found >= 1 && *found <= kMostCount;
  if (!valid) refuse(key, fmt::format("a whole number from 1 to {}", kMostCount));
  return found->get<int64_t>();
}

int64_t JsonKeys::count(const std::string& key, int64_t fallback) const {
  return has(key) ? count(key) : fallback;
}

int64_t JsonKeys::count_or_zero(const std::string& key, int64_t fallback) const {
  return has(key) && object_.at(key) == 0 ? 0 : count(key, fallback);
}

double JsonKeys::positive(const std::string& key) const {
  const auto found = object_.find(key);
  if (found == object_.end() || !is_positive(*found)) refuse(key, "a number above 0");
  return found->get<double>();
}

double JsonKeys::positive(const std::string& key, double fallback) const {
  return has(key) ? positive(key) : fallback;
}

double JsonKeys::not_negative(const std::string& key, double fallback) const {
  if (!has(key)) return fallback;
  const json& value = object_.at(key);
  if (!is_positive(value) && !(value.is_number() && value.get<double>() == 0)) refuse(key, "a number from 0");
  return value.get<double>();
}

std::vector<double> JsonKeys::positives(const std::string& key, size_t size) const {
  const auto found = object_.find(key);
  const bool valid = found != object_.end() && found->is_array() && found->size() == size &&
                     std::all_of(found->begin(), found->end(), is_positive);
  if (!valid) refuse(key, fmt::format("a list of {} numbers above 0", size));
  return found->get<std::vector<double>>();
}

std::vector<std::string> JsonKeys::texts(const std::string& key) const {
  const auto found = object_.find(key);
  const bool valid = found != object_.end() && found->is_array() &&
                     std::all_of(found->begin(), found->end(), [](const json& v) { return v.is_string(); });
  if (!valid) refuse(key, "a list of texts");
  return found->get<std::vector<std::string>>();
}

void JsonKeys::only(const std::vector<std::string>& known) const {
  for (const auto& [key, value] : object_.items()) {
    if (value.is_null() || std::find(known.begin(), known.end(), key) != known.end()) continue;
    throw InputError(BadInput{.file = file_.string(),
                              .key = prefix_ + key,
                              .found = shown_value(value),
                              .expected = "one of " + join(known) + ": no other key is supported",
                              .nearest = nearest_name(key, known)});
  }
}

bool JsonKeys::flag(const std::string& key, bool fallback) const {
  if (!has(key)) return fallback;
  if (!object_.at(key).is_boolean()) refuse(key, "true or false");
  return object_.at(key).get<bool>();
}

std::string JsonKeys::text(const std::string& key, const std::string& fallback) const {
  if (!has(key)) return fallback;
  if (!object_.at(key).is_string()) refuse(key, "a string");
  return object_.at(key).get<std::string>();
}

void JsonKeys::require_only(const std::string& key, const json& only) const {
  if (has(key) && object_.at(key) != only)
    refuse(key, (only.is_null() ? "" : only.dump() + " or ") + "nothing: no other value is supported");
}

}  // namespace attnlab
