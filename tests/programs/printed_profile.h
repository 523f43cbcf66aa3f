// What --profile prints on a CPU.
#pragma once

#include <cstdio>
#include <sstream>
#include <string>
#include <vector>

#include "catch.h"

namespace attnlab::test {

// The rows' shares in %, and the numbers of the line below.
struct Profile {
  std::vector<double> shares;
  double calls = 0, sum = 0, step = 0;  // sum and step in µs
};
// What --profile printed, once.
inline Profile profile_of(const std::string& text) {
  Profile profile;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("| `"))
      profile.shares.push_back(std::stod(line.substr(line.rfind('|', line.size() - 2) + 1)));
    if (line.starts_with("all "))
      std::sscanf(line.c_str(), "all %*d operators: %lf calls, %lf µs; the step: %lf µs", &profile.calls,
                  &profile.sum, &profile.step);
  }
  return profile;
}
// `rows` of them, each of a part of a sum that `threads` threads can have taken.
inline void check_profile(const Profile& profile, size_t rows, double threads) {
  REQUIRE(profile.shares.size() == rows);
  for (size_t i = 0; i < rows; ++i) {
    CHECK(profile.shares[i] > 0);
    CHECK(profile.shares[i] <= (i == 0 ? 100 : profile.shares[i - 1]));
  }
  CHECK(profile.calls >= static_cast<double>(rows));
  CHECK(profile.sum > 0);
  CHECK(profile.sum <= profile.step * threads);
}

}  // namespace attnlab::test
