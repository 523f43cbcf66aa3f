#include "stored_responses.h"

#include <cstdlib>
#include <map>

#include "core/errors.h"
#include "core/names.h"
#include "results/evaluation_file.h"

namespace attnlab {

std::filesystem::path evaluation_of(const std::filesystem::path& run) {
  const std::string beginning = tasks_prefix(run);
  std::filesystem::path found;
  int64_t last = -1;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(
           run.has_parent_path() ? run.parent_path() : std::filesystem::path("."), ignored)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(beginning) || !name.ends_with(".h5")) continue;
    const int64_t step = std::atoll(name.c_str() + beginning.size());
    if (step > last) found = entry.path(), last = step;
  }
  if (found.empty())
    throw InputError(BadInput{.file = run.string(),
                              .found = "no evaluation of tasks beside it",
                              .expected = "a run with eval.tasks, which leaves " + beginning + "N.h5"});
  return found;
}

Responses stored_responses(const std::filesystem::path& path, const std::string& task,
                           const std::vector<Problem>& problems) {
  std::map<std::string, size_t> places;
  for (size_t i = 0; i < problems.size(); ++i) places[problems[i].id] = i;
  Responses responses;
  std::vector<std::string> labels;
  for (const auto& kept : read_evaluation(path).tasks) {
    labels.push_back(kept.label);
    if (kept.label != task) continue;
    for (const auto& reply : kept.replies) {
      const auto place = places.find(reply.id);
      if (place == places.end())
        throw InputError(BadInput{.file = path.string(),
                                  .key = reply.id,
                                  .found = "a reply to a problem that --data lacks",
                                  .expected = "the problems that were asked"});
      responses.ids.push_back(reply.id);
      responses.replies.push_back({place->second, reply.text});
    }
    return responses;
  }
  throw InputError(BadInput{.file = path.string(),
                            .found = "no task '" + task + "' (there are: " + join(labels) + ")",
                            .expected = "--task to name one of them",
                            .nearest = nearest_name(task, labels)});
}

}  // namespace attnlab
