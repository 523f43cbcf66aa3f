// What the tests of statistics share: how numbers are compared, and what SciPy and statsmodels computed.
#pragma once

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "aborts.h"
#include "catch.h"

namespace attnlab::test {

using Values = std::vector<double>;

// Relative; numbers below `floor`, which come from terms that cancel, against that.
inline void check_close(double found, double expected, double tolerance = 1e-9, double floor = 0) {
  CAPTURE(found, expected);
  CHECK(std::abs(found - expected) <= tolerance * std::max(std::abs(expected), floor));
}

// A table of shared/fixtures/eval, null where the folder is absent.
inline nlohmann::json fixture(const std::string& file) {
  const auto path = shared_dir() / "fixtures" / "eval" / file;
  if (!std::filesystem::exists(path)) return nullptr;
  return nlohmann::json::parse(std::ifstream(path));
}

}  // namespace attnlab::test

// `rows` becomes a table of stats_vectors.json with at least so many rows; skips the case without the file.
#define REQUIRE_ROWS(rows, name, at_least)                                 \
  const auto rows##_file = ::attnlab::test::fixture("stats_vectors.json"); \
  if (rows##_file.is_null()) SKIP_TEST("no stats_vectors.json");           \
  const auto& rows = rows##_file[name];                                    \
  REQUIRE(rows.size() >= (at_least))
