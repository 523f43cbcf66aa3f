#include "tasks/responses.h"

#include <unordered_map>

#include "core/errors.h"
#include "core/jsonl.h"
#include "core/names.h"

namespace attnlab {
namespace {

using nlohmann::json;

// The key of the reply's id. Throws where two contradict each other.
const char* id_key(const Record& record) {
  if (record.has("id") && record.has("task_id") && record.object["id"] != record.object["task_id"])
    record.fail("id", record.object["id"].dump() + ", and " + record.object["task_id"].dump() + " as task_id",
                "one of them");
  return record.object.contains("id") || !record.has("task_id") ? "id" : "task_id";
}

std::string id_text(const Record& record, const char* key) {
  const json& id = record.member(key, "a problem's id");
  if (id.is_string()) return id.get<std::string>();
  if (!id.is_number_integer()) record.fail(key, id.type_name(), "a string or a whole number");
  return id.dump();
}

const char* text_key(const Record& record) {
  std::vector<std::string> present;
  const char* found = "response";
  for (const char* key : {"response", "completion", "solution"})
    if (record.has(key)) present.emplace_back(found = key);
  if (present.size() > 1) record.fail(found, join(present, " and "), "one of them");
  return found;
}

std::string range_of(const std::vector<Problem>& problems) {
  return "an id of the " + std::to_string(problems.size()) + " problems, " + problems.front().id + " to " +
         problems.back().id;
}

}  // namespace

Responses read_responses(const std::filesystem::path& path, const std::vector<Problem>& problems) {
  std::unordered_map<std::string, size_t> places;
  for (size_t i = 0; i < problems.size(); ++i) places.emplace(problems[i].id, i);
  Responses responses;
  for_each_record(path, [&](const Record& record) {
    const char *key = id_key(record), *text = text_key(record);
    const std::string id = id_text(record, key);
    auto place = places.find(id);
    if (place == places.end() && id.starts_with("Mbpp/")) place = places.find(id.substr(5));
    if (place == places.end()) {
      std::vector<std::string> ids;  // a number's neighbours in spelling mean nothing
      if (record.object[key].is_string())
        for (const auto& problem : problems) ids.push_back(problem.id);
      record.fail(key, record.object[key].dump(), range_of(problems), nearest_name(id, ids));
    }
    responses.ids.push_back(record.object[key]);
    const bool whole = std::string_view(text) == "solution";
    responses.replies.push_back({.problem = place->second, .text = record.text(text), .whole = whole});
  });
  return responses;
}

std::string score_lines(const Responses& responses, const std::vector<Score>& scores) {
  ATTNLAB_CHECK(responses.ids.size() == scores.size());
  std::string lines;
  for (size_t i = 0; i < scores.size(); ++i) {
    const nlohmann::ordered_json line = {{"id", responses.ids[i]},
                                         {"extracted", scores[i].extracted},
                                         {"correct", scores[i].correct},
                                         {"result", scores[i].result}};
    lines += line.dump(-1, ' ', false, json::error_handler_t::replace) + '\n';
  }
  return lines;
}

}  // namespace attnlab
