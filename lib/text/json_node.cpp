#include "text/json_node.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/errors.h"
#include "core/names.h"
#include "text/utf8.h"

namespace attnlab::text {
namespace {

constexpr size_t kShownBytes = 60;

std::string shown(const nlohmann::json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array";
  std::string text = value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (text.size() > kShownBytes) text = utf8_lossy(text.substr(0, kShownBytes)) + "...";
  return text;
}

}  // namespace

JsonNode::JsonNode(const nlohmann::json& value, std::string file, std::string key)
    : value_(&value), file_(std::move(file)), key_(std::move(key)) {}

std::string JsonNode::child_key(std::string_view name) const {
  return key_.empty() ? std::string(name) : key_ + "." + std::string(name);
}

std::optional<JsonNode> JsonNode::find(std::string_view name) const {
  if (!value_->is_object()) reject("an object");
  const auto member = value_->find(std::string(name));
  if (member == value_->end() || member->is_null()) return std::nullopt;
  return JsonNode(*member, file_, child_key(name));
}

JsonNode JsonNode::at(std::string_view name) const {
  if (auto member = find(name)) return *member;
  throw InputError(BadInput{.file = file_, .key = child_key(name), .found = "nothing", .expected = "a value"});
}

std::vector<JsonNode> JsonNode::elements() const {
  if (!value_->is_array()) reject("an array");
  std::vector<JsonNode> out;
  out.reserve(value_->size());
  for (size_t i = 0; i < value_->size(); ++i)
    out.emplace_back((*value_)[i], file_, key_ + "[" + std::to_string(i) + "]");
  return out;
}

const std::string& JsonNode::string() const {
  if (!value_->is_string()) reject("a string");
  return value_->get_ref<const std::string&>();
}

bool JsonNode::boolean() const {
  if (!value_->is_boolean()) reject("true or false");
  return value_->get<bool>();
}

int64_t JsonNode::whole_number() const {
  constexpr uint64_t kLargest = (uint64_t{1} << 31) - 1;
  if (!value_->is_number_unsigned() || value_->get<uint64_t>() > kLargest)
    reject("a whole number from 0 to 2147483647");
  return value_->get<int64_t>();
}

bool JsonNode::flag(std::string_view name, bool fallback) const {
  const auto member = find(name);
  return member ? member->boolean() : fallback;
}

void JsonNode::only(std::initializer_list<std::string_view> names) const {
  if (!value_->is_object()) reject("an object");
  for (const auto& [name, value] : value_->items()) {
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    const std::vector<std::string> known(names.begin(), names.end());
    JsonNode(value, file_, child_key(name))
        .reject("no such key here (known: " + join(known) + ")", nearest_name(name, known));
  }
}

std::string JsonNode::type(const std::vector<std::string>& supported) const {
  const JsonNode member = at("type");
  const std::string& name = member.string();
  if (std::find(supported.begin(), supported.end(), name) == supported.end())
    member.reject(one_of(supported, name), nearest_name(name, supported));
  return name;
}

void JsonNode::reject(std::string expected, std::string nearest) const {
  throw InputError(BadInput{.file = file_,
                            .key = key_,
                            .found = shown(*value_),
                            .expected = std::move(expected),
                            .nearest = std::move(nearest)});
}

}  // namespace attnlab::text
