// What an evaluation has found so far, so that one that was killed goes on at the next problem.
#pragma once

#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "eval/replies.h"
#include "eval/text_scores.h"

namespace attnlab {

// What is known of one task, by problem, item or document.
struct TaskFindings {
  std::map<ReplyPlace, std::string> replies;
  std::map<int64_t, ChoiceLikelihoods> choices;
  std::map<int64_t, TextScore> texts;
};

// A file of one JSON object a line, the first of which says what evaluation it is of. A line that has been
// added is in the operating system's hands; one that a crash left torn is dropped.
class TaskLog {
 public:
  // Without a file: findings are kept in memory alone.
  TaskLog() = default;
  // Goes on with the file if it is there. `identity` is a text of all that the findings depend on. Throws
  // InputError if the file is of another evaluation or no such file, RunError if it can't be written.
  TaskLog(std::filesystem::path path, const std::string& identity);
  TaskLog(TaskLog&&) = default;
  TaskLog& operator=(TaskLog&&) = default;

  // `task` is its label.
  const TaskFindings& of(const std::string& task) { return findings_[task]; }
  void add(const std::string& task, ReplyPlace place, const std::string& reply);
  void add(const std::string& task, int64_t item, const ChoiceLikelihoods& likelihoods);
  void add(const std::string& task, int64_t document, const TextScore& score);
  // Deletes the file.
  void remove();

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  void read(const std::string& identity);
  void write(const std::string& line);

  std::filesystem::path path_;
  std::unique_ptr<std::FILE, Close> file_;
  std::map<std::string, TaskFindings> findings_;
};

}  // namespace attnlab
