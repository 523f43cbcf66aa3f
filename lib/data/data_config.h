// Which examples a run trains on and is evaluated on.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/fields.h"
#include "text/chat.h"

namespace attnlab {

enum class DataKind {
  word_problems,
  code_functions,
  generated,
  passkey,
  key_values,
  variable_trace,
  gsm8k,
  instruction_jsonl,
  chat_jsonl,
  text_jsonl,
  text_folder
};
template <>
struct EnumNames<DataKind> {
  static constexpr std::array<std::pair<std::string_view, DataKind>, 11> rows{
      {{"word_problems", DataKind::word_problems},
       {"code_functions", DataKind::code_functions},
       {"generated", DataKind::generated},
       {"passkey", DataKind::passkey},
       {"key_values", DataKind::key_values},
       {"variable_trace", DataKind::variable_trace},
       {"gsm8k", DataKind::gsm8k},
       {"instruction_jsonl", DataKind::instruction_jsonl},
       {"chat_jsonl", DataKind::chat_jsonl},
       {"text_jsonl", DataKind::text_jsonl},
       {"text_folder", DataKind::text_folder}}};
};

// How a question or instruction becomes the text before the answer.
//   by_kind  plain for word_problems, retrieval kinds and gsm8k, alpaca for instruction_jsonl, chatml for
//   chat_jsonl, raw for the
//            others
//   raw      the text alone (code_functions: signature and docstring, to be completed)
//   plain    "Question: {prompt}\nAnswer: "
//   alpaca   the format of Stanford Alpaca's instruction data
// and the chat formats of text/chat.h by their names: the prompt is the user's message, and the answer ends
// with the format's end of a turn, behind which the batch's EOS comes if it is another token.
enum class PromptTemplate { by_kind, raw, plain, alpaca, first_chat_format };

constexpr PromptTemplate chat_template(ChatFormat format) {
  return static_cast<PromptTemplate>(static_cast<int>(PromptTemplate::first_chat_format) +
                                     static_cast<int>(format));
}

// Four names and those of the chat formats.
template <>
struct EnumNames<PromptTemplate> {
  using enum PromptTemplate;
  static constexpr size_t chat_formats = EnumNames<ChatFormat>::rows.size();
  static constexpr auto rows = [] {
    std::array<std::pair<std::string_view, PromptTemplate>, 4 + chat_formats> all{
        {{"by_kind", by_kind}, {"raw", raw}, {"plain", plain}, {"alpaca", alpaca}}};
    for (size_t i = 0; i < chat_formats; ++i) {
      const auto& [name, format] = EnumNames<ChatFormat>::rows[i];
      all[4 + i].first = name;
      all[4 + i].second = chat_template(format);
    }
    return all;
  }();
};

struct MixturePart;

struct DataConfig {
  DataKind kind = DataKind::word_problems;
  std::string path;          // file or folder with the training examples; unused by generated kinds
  std::string heldout_path;  // file or folder with the held-out examples; empty: a share of `path`
  double heldout_share = 0.05;
  int64_t difficulty_min = 1, difficulty_max = 3;
  double code_share = 0.3;
  int64_t words = 200;
  int64_t size = 20000, heldout_size = 500;
  int64_t seed = 0;
  PromptTemplate prompt_template = PromptTemplate::by_kind;
  std::vector<std::string> train_roles{"assistant"};
  std::vector<std::string> extensions{".txt", ".md", ".py"};
  std::vector<MixturePart> mixture;  // instead of all above
  int64_t calibration_tokens = 32768;

  // What says where examples come from, in a part of a mixture, too.
  template <class Self, class Visitor>
  static void source_fields(Self& self, Visitor&& visit) {
    visit(Key{"kind",
              "where examples come from; generated: word problems and functions, mixed; passkey, key_values, "
              "variable_trace: a context and what stands in it (retrieval)"},
          self.kind);
    visit(Key{"path", "file, or folder (text_folder), of training examples"}, self.path);
    visit(Key{"heldout_path", "file or folder of held-out examples; none: a share of path"}, self.heldout_path);
    visit(Key{"heldout_share",
              "share of path that is held out without heldout_path, chosen by the hash of the prompt"}
              .at_least(0)
              .at_most(0.9),
          self.heldout_share);
    visit(Key{"difficulty_min", "generated kinds: easiest problems; levels take turns"}.at_least(1).at_most(5),
          self.difficulty_min);
    visit(Key{"difficulty_max", "generated kinds: hardest problems"}.at_least(1).at_most(5),
          self.difficulty_max);
    visit(Key{"code_share", "kind generated: share of Python functions"}.at_least(0).at_most(1),
          self.code_share);
    visit(Key{"words",
              "retrieval kinds: words of a context, about. Their difficulty is how deep the pass key stands "
              "(from "
              "the beginning to the end), how many keys are asked for, how many hops lead to a value"}
              .at_least(8)
              .at_most(1e6),
          self.words);
    visit(Key{"size", "generated kinds: number of training examples"}.at_least(1), self.size);
    visit(Key{"heldout_size", "generated kinds: number of held-out examples"}.at_least(1), self.heldout_size);
    visit(Key{"seed", "generated kinds: seed of the generator"}.at_least(0), self.seed);
    visit(Key{"prompt_template",
              "text around the prompt. by_kind: plain for word problems and GSM8K, alpaca for instructions, "
              "chatml for chats, raw for the others. plain: Question: … Answer: … in two lines. alpaca: "
              "Stanford Alpaca's format. All others are chat formats: the prompt is a user's turn, and answers "
              "end with the format's end of turn"},
          self.prompt_template);
    visit(Key{"train_roles",
              "chat_jsonl: whose turns (system, user, assistant) are trained, in every place. An assistant's "
              "turn is trained to its end, without the header that generation is given; others' with their "
              "header"},
          self.train_roles);
    visit(Key{"extensions", "text_folder: which files are documents"}, self.extensions);
  }
  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    source_fields(self, visit);
    visit(Key{"mixture", "several data sets with weights, instead of one"}, self.mixture);
    visit(
        Key{"calibration_tokens", "tokens of training text that conversions of arms are fitted to"}.at_least(2),
        self.calibration_tokens);
  }
};

// One data set of a mixture. The weights are relative.
struct MixturePart {
  double weight = 1;
  DataConfig source;  // its own mixture is empty

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"weight", "share of the mixture's tokens, relative to the other parts"}.above(0).must_be_given(),
          self.weight);
    DataConfig::source_fields(self.source, visit);
  }
};

// Why a key of a source (source_fields) has no effect beside the others; empty where it has one.
std::string why_idle(const DataConfig& config, const std::string& key);

// True for kinds that need no file.
bool is_generated(DataKind kind);
// True for those of a context and a question (retrieval.h).
bool is_retrieval(DataKind kind);

// The text before the answer. by_kind counts as raw here: resolve it with template_for first.
std::string apply_template(PromptTemplate format, const std::string& prompt);
// The text to learn: the answer, with the end of its turn in chat formats.
std::string apply_template_to_answer(PromptTemplate format, const std::string& answer);
// The template that `config` means for examples of `kind`.
PromptTemplate template_for(const DataConfig& config, DataKind kind);
// The inverse of chat_template; nothing for other templates.
std::optional<ChatFormat> chat_format_of(PromptTemplate format);

}  // namespace attnlab
