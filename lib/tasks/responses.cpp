#include "tasks/responses.h"

#include <unordered_map>

#include "core/errors.h"
#include "core/jsonl.h"
#include "core/names.h"

namespace attnlab {
namespace {

using nlohmann::json;

std::string id_text(const Record& record) {
  const json& id = record.member("id", "a problem's id");
  if (id.is_string()) return id.get<std::string>();
  if (!id.is_number_integer()) record.fail("id", id.type_name(), "a string or a whole number");
  return id.dump();
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
    const std::string id = id_text(record);
    const auto place = places.find(id);
    if (place == places.end()) {
      std::vector<std::string> ids;  // a number's neighbours in spelling mean nothing
      if (record.object["id"].is_string())
        for (const auto& problem : problems) ids.push_back(problem.id);
      record.fail("id", record.object["id"].dump(), range_of(problems), nearest_name(id, ids));
    }
    responses.ids.push_back(record.object["id"]);
    responses.replies.push_back({place->second, record.text("response")});
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
