// What the tests of this room share.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "catch.h"
#include "core/errors.h"
#include "tasks/extract.h"

namespace attnlab::test {

// What is extracted where there is no answer.
inline const std::string none(kNoAnswer);

// The scorers' own answers (fixtures/eval) and the public data sets, beside the checkout.
inline std::filesystem::path fixture(const std::string& name) {
  return shared_dir() / "fixtures" / "eval" / name;
}
inline std::filesystem::path data_set(const std::string& name) { return shared_dir() / "data" / name; }
inline bool all_there(const std::vector<std::filesystem::path>& paths) {
  for (const auto& path : paths)
    if (!std::filesystem::exists(path)) return false;
  return true;
}

nlohmann::json read_json(const std::filesystem::path& path);
std::vector<nlohmann::json> read_jsonl(const std::filesystem::path& path);

// The message of the InputError that `action` throws; "" if it throws none.
template <class Action>
std::string refusal(Action&& action) {
  try {
    action();
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

}  // namespace attnlab::test
