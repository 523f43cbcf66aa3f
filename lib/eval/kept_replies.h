// A teacher's replies that are worth learning from: the rejection sampling of DeepSeek-R1's distilled models
// (arXiv 2501.12948, section 2.4).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/names.h"
#include "eval/task_data.h"

namespace attnlab {

enum class KeepReplies { correct, all };
template <>
struct EnumNames<KeepReplies> {
  static constexpr std::array<std::pair<std::string_view, KeepReplies>, 2> rows{
      {{"correct", KeepReplies::correct}, {"all", KeepReplies::all}}};
};

// chat: {"messages": […]}, which data kind chat_jsonl reads. instruction: {"instruction", "output"}, which
// instruction_jsonl reads.
enum class SftForm { chat, instruction };
template <>
struct EnumNames<SftForm> {
  static constexpr std::array<std::pair<std::string_view, SftForm>, 2> rows{
      {{"chat", SftForm::chat}, {"instruction", SftForm::instruction}}};
};

struct KeptReply {
  size_t problem = 0;
  std::string question, answer;
};

struct KeptReplies {
  std::vector<KeptReply> replies;                // by problem, then by sample
  int64_t asked = 0;                             // replies that there are
  int64_t right = 0;                             // that the scorer or the sandbox finds right
  int64_t empty = 0, doubles = 0, over_cap = 0;  // that would have been kept otherwise
  int64_t problems = 0;                          // of which a reply is kept
};

// `scores`: of `replies`, under data.protocols.front(). A double is another reply to the same problem with the
// same words; of a problem at most `cap` replies stay (0: any number), so that easy ones don't dominate. The
// answer is the reply up to the protocol's stop strings, of code the program, which begins with the prompt if
// the reply continues it.
KeptReplies keep_replies(const TaskData& data, const std::vector<Reply>& replies,
                         const std::vector<Score>& scores, KeepReplies rule, int64_t cap);

// What a model is asked in the set, and in a chat with the teacher: the problem without worked examples.
std::string question_of(const TaskData& data, size_t problem);

// JSONL, a line a reply.
std::string sft_lines(const KeptReplies& kept, SftForm form);

}  // namespace attnlab
