#include "eval/task_log.h"

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/errors.h"
#include "core/files.h"

namespace attnlab {
namespace {

using nlohmann::json;

std::string line_of(const json& object) {
  return object.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

json identity_line(const std::string& identity) { return {{"evaluation", sha256(identity)}}; }

void take(const json& line, TaskFindings& findings) {
  if (line.contains("reply")) {
    findings.replies[{line.at("problem"), line.at("sample")}] = line.at("reply");
  } else if (line.contains("log_likelihoods")) {
    findings.choices[line.at("item")] = {line.at("log_likelihoods"), line.at("greedy")};
  } else {
    TextScore score{.plain = line.at("plain"), .plain_tokens = line.at("plain_tokens")};
    score.rolling = {line.at("rolling"), line.at("words"), line.at("bytes")};
    findings.texts[line.at("document")] = score;
  }
}

}  // namespace

TaskLog::TaskLog(std::filesystem::path path, const std::string& identity) : path_(std::move(path)) {
  const bool there = std::filesystem::exists(path_);
  if (there) read(identity);
  file_.reset(std::fopen(path_.c_str(), "ab"));
  if (!file_) throw RunError(path_.string() + ": cannot be written: " + std::strerror(errno));
  if (std::filesystem::file_size(path_) == 0) write(line_of(identity_line(identity)));
}

void TaskLog::read(const std::string& identity) {
  const std::string bytes = read_file(path_);
  const size_t whole = bytes.rfind('\n') + 1;  // 0 if there is no line
  if (whole != bytes.size()) std::filesystem::resize_file(path_, whole);
  int64_t number = 0;
  for (size_t at = 0; at < whole;) {
    const size_t end = bytes.find('\n', at);
    ++number;
    try {
      const json line = json::parse(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                                    bytes.begin() + static_cast<std::ptrdiff_t>(end));
      if (number > 1)
        take(line, findings_[line.at("task")]);
      else if (line != identity_line(identity))
        throw InputError(BadInput{.file = path_.string(),
                                  .found = "what is known of another evaluation",
                                  .expected = "one with the same model, tasks and options; remove the file, or "
                                              "name another output"});
    } catch (const json::exception&) {
      throw InputError(BadInput{.file = path_.string(),
                                .line = number,
                                .found = "a line that is not of an evaluation",
                                .expected = "a file that an evaluation left; remove it to begin anew"});
    }
    at = end + 1;
  }
}

void TaskLog::write(const std::string& line) {
  if (!file_) return;
  if (std::fwrite(line.data(), 1, line.size(), file_.get()) != line.size() || std::fflush(file_.get()) != 0)
    throw RunError(path_.string() + ": cannot be written: " + std::strerror(errno));
}

void TaskLog::add(const std::string& task, ReplyPlace place, const std::string& reply) {
  write(line_of({{"task", task}, {"problem", place.first}, {"sample", place.second}, {"reply", reply}}));
  findings_[task].replies[place] = reply;
}

void TaskLog::add(const std::string& task, int64_t item, const ChoiceLikelihoods& likelihoods) {
  write(line_of({{"task", task},
                 {"item", item},
                 {"log_likelihoods", likelihoods.log_likelihoods},
                 {"greedy", likelihoods.greedy}}));
  findings_[task].choices[item] = likelihoods;
}

void TaskLog::add(const std::string& task, int64_t document, const TextScore& score) {
  write(line_of({{"task", task},
                 {"document", document},
                 {"rolling", score.rolling.loglikelihood},
                 {"words", score.rolling.words},
                 {"bytes", score.rolling.bytes},
                 {"plain", score.plain},
                 {"plain_tokens", score.plain_tokens}}));
  findings_[task].texts[document] = score;
}

void TaskLog::remove() {
  file_.reset();
  if (!path_.empty()) std::filesystem::remove(path_);
}

}  // namespace attnlab
