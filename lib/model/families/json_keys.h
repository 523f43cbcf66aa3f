// Typed access to the keys of a config.json, with errors that name file and key.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "model/decoder_config.h"

namespace attnlab {

class JsonKeys {
 public:
  // `prefix` stands before keys in errors.
  JsonKeys(const nlohmann::json& object, std::filesystem::path file, std::string prefix = "",
           std::vector<std::string>* notes = nullptr)
      : object_(object), file_(std::move(file)), prefix_(std::move(prefix)), notes_(notes) {}

  // Present and not null.
  bool has(const std::string& key) const;
  int64_t count(const std::string& key) const;  // a whole number from 1
  int64_t count(const std::string& key, int64_t fallback) const;
  int64_t count_or_zero(const std::string& key, int64_t fallback) const;
  double positive(const std::string& key) const;  // a finite number above 0
  double positive(const std::string& key, double fallback) const;
  double not_negative(const std::string& key, double fallback) const;        // a finite number from 0
  std::vector<double> positives(const std::string& key, size_t size) const;  // a list of `size` of them
  bool flag(const std::string& key, bool fallback) const;
  std::string text(const std::string& key, const std::string& fallback) const;
  std::vector<std::string> texts(const std::string& key) const;  // a list
  // Refuses the file unless the key is absent, null, or equal to `only`.
  void require_only(const std::string& key, const nlohmann::json& only) const;
  // Says that the key has no effect here, as "FILE: KEY: VALUE is not used: WHY", if somebody listens.
  void note_unused(const std::string& key, const std::string& why) const;
  // Refuses keys of this object that are not among `known`.
  void only(const std::vector<std::string>& known) const;
  [[noreturn]] void refuse(const std::string& key, const std::string& expected) const;
  const nlohmann::json& object() const { return object_; }
  // The keys of an object under `key`.
  JsonKeys below(const std::string& key) const { return {object_.at(key), file_, prefix_ + key + ".", notes_}; }

 private:
  const nlohmann::json& object_;
  std::filesystem::path file_;
  std::string prefix_;
  std::vector<std::string>* notes_;
};

}  // namespace attnlab
