// A value in a JSON file that knows its file and key, so that every complaint can name them.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace attnlab::text {

class JsonNode {
 public:
  // `value` must outlive the node.
  JsonNode(const nlohmann::json& value, std::string file, std::string key);

  const nlohmann::json& value() const { return *value_; }
  const std::string& file() const { return file_; }
  std::string child_key(std::string_view name) const;

  // A member that is there and not null.
  std::optional<JsonNode> find(std::string_view name) const;
  // Throws InputError if there is no such member or it is null.
  JsonNode at(std::string_view name) const;
  // The elements of an array. Throws InputError if it is none.
  std::vector<JsonNode> elements() const;

  // This value as the type. Throw InputError if it has another.
  const std::string& string() const;
  bool boolean() const;
  int64_t whole_number() const;  // 0 to 2³¹ − 1

  // A member, or `fallback` where it is absent or null. Throws InputError on another type.
  bool flag(std::string_view name, bool fallback) const;

  // Throws InputError unless this is an object with no members but these.
  void only(std::initializer_list<std::string_view> names) const;
  // The member "type". Throws InputError unless it is one of `supported`.
  std::string type(const std::vector<std::string>& supported) const;

  // Throws InputError with this node's file, key and (shortened) value.
  [[noreturn]] void reject(std::string expected, std::string nearest = "") const;

 private:
  const nlohmann::json* value_;
  std::string file_;
  std::string key_;
};

}  // namespace attnlab::text
