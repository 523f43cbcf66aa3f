#include "eval/kept_replies.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "core/errors.h"
#include "tasks/stops.h"

namespace attnlab {
namespace {

std::string stripped(const std::string& text) {
  constexpr const char* kBlanks = " \t\r\n";
  const size_t first = text.find_first_not_of(kBlanks);
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

// Its words with one blank between them.
std::string words_of(const std::string& text) {
  std::istringstream in(text);
  std::string words;
  for (std::string word; in >> word;) words += word + " ";
  return words;
}

std::string program_of(const Problem& problem, const Score& score) {
  const bool whole =
      problem.prompt.empty() || score.extracted.find("def " + problem.entry_point) != std::string::npos;
  const std::string program = whole ? score.extracted : problem.prompt + score.extracted;
  return stripped(program);
}

std::string answer_of(const TaskData& data, const Reply& reply, const Score& score) {
  if (data.kind() == TaskKind::code) return program_of(data.problems[reply.problem], score);
  return stripped(until_stop(reply.text, preset_of(data.config.task, data.protocols.front()).stops));
}

}  // namespace

std::string question_of(const TaskData& data, size_t problem) {
  const Problem& asked = data.problems.at(problem);
  return asked.question.empty() ? asked.prompt : asked.question;
}

KeptReplies keep_replies(const TaskData& data, const std::vector<Reply>& replies,
                         const std::vector<Score>& scores, KeepReplies rule, int64_t cap) {
  ATTNLAB_CHECK(replies.size() == scores.size());
  KeptReplies out{.asked = std::ssize(replies)};
  std::map<size_t, std::set<std::string>> known;
  std::map<size_t, int64_t> kept;
  for (size_t i = 0; i < replies.size(); ++i) {
    out.right += scores[i].correct;
    if (rule == KeepReplies::correct && !scores[i].correct) continue;
    const size_t problem = replies[i].problem;
    std::string answer = answer_of(data, replies[i], scores[i]);
    if (answer.empty()) {
      ++out.empty;
    } else if (!known[problem].insert(words_of(answer)).second) {
      ++out.doubles;
    } else if (cap > 0 && kept[problem] == cap) {
      ++out.over_cap;
    } else {
      ++kept[problem];
      out.replies.push_back({problem, question_of(data, problem), std::move(answer)});
    }
  }
  out.problems = std::ssize(kept);
  std::stable_sort(out.replies.begin(), out.replies.end(),
                   [](const KeptReply& a, const KeptReply& b) { return a.problem < b.problem; });
  return out;
}

std::string sft_lines(const KeptReplies& kept, SftForm form) {
  using nlohmann::ordered_json;
  std::string lines;
  for (const auto& reply : kept.replies) {
    ordered_json line;
    if (form == SftForm::chat)
      line["messages"] = {ordered_json{{"role", "user"}, {"content", reply.question}},
                          ordered_json{{"role", "assistant"}, {"content", reply.answer}}};
    else
      line = {{"instruction", reply.question}, {"output", reply.answer}};
    lines += line.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
  }
  return lines;
}

}  // namespace attnlab
