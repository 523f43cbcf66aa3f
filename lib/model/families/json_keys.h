// Typed access to the keys of a config.json, with errors that name file and key.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "model/decoder_config.h"

namespace attnlab {

class JsonKeys {
 public:
  JsonKeys(const nlohmann::json& object, std::filesystem::path file)
      : object_(object), file_(std::move(file)) {}

  // Present and not null.
  bool has(const std::string& key) const;
  int64_t count(const std::string& key) const;  // a whole number from 1
  int64_t count(const std::string& key, int64_t fallback) const;
  double positive(const std::string& key, double fallback) const;
  bool flag(const std::string& key, bool fallback) const;
  std::string text(const std::string& key, const std::string& fallback) const;
  // Refuses the file unless the key is absent, null, or equal to `only`.
  void require_only(const std::string& key, const nlohmann::json& only) const;
  [[noreturn]] void refuse(const std::string& key, const std::string& expected) const;
  const nlohmann::json& object() const { return object_; }
  // The keys of an object under `key`.
  JsonKeys below(const std::string& key) const { return {object_.at(key), file_}; }

 private:
  const nlohmann::json& object_;
  std::filesystem::path file_;
};

// The keys that all LLaMA-like families share; biases are the family's. Takes both the older form of the
// rotary keys (rope_theta, rope_scaling) and the newer (rope_parameters).
DecoderConfig read_common(const JsonKeys& keys);
void write_common(const DecoderConfig& config, nlohmann::ordered_json& out);

// The families' own keys.
void read_llama(const JsonKeys& keys, DecoderConfig& config);
void write_llama(const DecoderConfig& config, nlohmann::ordered_json& out);
void read_mistral(const JsonKeys& keys, DecoderConfig& config);
void write_mistral(const DecoderConfig& config, nlohmann::ordered_json& out);
void read_qwen2(const JsonKeys& keys, DecoderConfig& config);
void write_qwen2(const DecoderConfig& config, nlohmann::ordered_json& out);

}  // namespace attnlab
