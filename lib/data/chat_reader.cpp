#include "data/chat_reader.h"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "core/errors.h"
#include "core/jsonl.h"
#include "data/answers.h"
#include "data/unread_keys.h"

namespace attnlab {
namespace {

std::string text_of(const Record& record, const nlohmann::json& message, size_t index, const char* key) {
  const std::string name = "messages[" + std::to_string(index) + "]." + key;
  const auto value = message.find(key);
  if (value == message.end()) record.fail(name, "no such key", "a string");
  if (!value->is_string()) record.fail(name, value->type_name(), "a string");
  return value->get<std::string>();
}

struct Turn {
  ChatMessage message;
  bool weighed = true;  // false: of weight 0
};

bool weight_of(const Record& record, const nlohmann::json& message, size_t index) {
  const auto weight = message.find("weight");
  if (weight == message.end() || weight->is_null()) return true;
  const bool known = weight->is_number() && (*weight == 0 || *weight == 1);
  if (!known)
    record.fail("messages[" + std::to_string(index) + "].weight",
                weight->is_number() ? weight->dump() : weight->type_name(), "0 (the turn is not learnt) or 1");
  return *weight == 1;
}

std::vector<Turn> turns_of(const Record& record, UnreadKeys& unread) {
  constexpr const char* expected = "a list of {\"role\", \"content\"}";
  const auto& list = record.member("messages", expected);
  if (!list.is_array() || list.empty())
    record.fail("messages", list.is_array() ? "an empty list" : list.type_name(), expected);
  unread.see(record.object, {"messages"}, record.line);
  std::vector<Turn> turns;
  for (size_t i = 0; i < list.size(); ++i) {
    if (!list[i].is_object()) record.fail("messages[" + std::to_string(i) + "]", list[i].type_name(), expected);
    unread.see(list[i], {"role", "content", "weight"}, record.line, "messages[].");
    turns.push_back({{text_of(record, list[i], i, "role"), text_of(record, list[i], i, "content")},
                     weight_of(record, list[i], i)});
  }
  return turns;
}

// Gathers the text before the answer, in parts that are encoded apart.
class PromptBuilder {
 public:
  explicit PromptBuilder(std::vector<PromptPart>& parts) : parts_(parts) {}

  void begin() {
    flush();
    begins_ = true;
  }
  void given(const std::string& text) { text_ += text; }
  void learnt(const std::string& text) {
    flush();
    text_ = text;
    flush(true);
  }
  // The text so far ends as a document does.
  void end() {
    flush();
    if (!parts_.empty()) parts_.back().ends = true;
  }
  void flush(bool learn = false) {
    if (text_.empty()) return;
    parts_.push_back(
        {.text = std::exchange(text_, {}), .learnt = learn, .begins = std::exchange(begins_, false)});
  }

 private:
  std::vector<PromptPart>& parts_;
  std::string text_;
  bool begins_ = false;
};

bool is_blank(const std::string& text) { return text.find_first_not_of(' ') == std::string::npos; }

// The last turn is the answer.
Example example_of(const std::vector<ChatPiece>& pieces, const std::vector<bool>& learnt) {
  const size_t last = pieces.size() - 1;
  Example example;
  PromptBuilder prompt(example.parts);
  for (size_t i = 0; i <= last; ++i) {
    const ChatPiece& piece = pieces[i];
    const bool assistant = piece.role == "assistant";
    const std::string header = assistant && learnt[i] && is_blank(piece.header) ? "" : piece.header;
    if (piece.begins) prompt.begin();
    if (assistant || !learnt[i]) prompt.given(header);
    const std::string text = assistant ? piece.body : header + piece.body;
    if (i == last) {
      example.answer = text;
    } else if (learnt[i]) {
      prompt.learnt(text);
    } else {
      prompt.given(piece.body);
    }
    if (i == last) break;
    if (piece.ends) prompt.end();
    prompt.given(piece.after);
  }
  prompt.flush();
  return example;
}

// How many turns there are up to the last one that is learnt; 0: weights of 0 leave none.
size_t turns_to_learn(const Record& record, const std::vector<Turn>& turns,
                      const std::vector<std::string>& roles) {
  const auto of_roles = [&](const Turn& turn) {
    return std::find(roles.begin(), roles.end(), turn.message.role) != roles.end();
  };
  if (std::none_of(turns.begin(), turns.end(), of_roles))
    record.fail("messages", "no turn to learn", "a turn of data.train_roles (" + join(roles) + ")");
  const auto last = std::find_if(turns.rbegin(), turns.rend(),
                                 [&](const Turn& turn) { return turn.weighed && of_roles(turn); });
  return static_cast<size_t>(turns.rend() - last);
}

std::vector<ChatMessage> messages_of(std::span<const Turn> turns) {
  std::vector<ChatMessage> messages;
  for (const Turn& turn : turns) messages.push_back(turn.message);
  return messages;
}

// Which pieces are learnt: the system's turn may be a part of another's piece, so that there are fewer than
// turns.
std::vector<bool> learnt_pieces(const std::vector<ChatPiece>& pieces, std::span<const Turn> turns,
                                const std::vector<std::string>& roles) {
  const size_t merged = turns.size() - pieces.size();
  std::vector<bool> learnt;
  for (size_t i = 0; i < pieces.size(); ++i)
    learnt.push_back(turns[i + merged].weighed &&
                     std::find(roles.begin(), roles.end(), pieces[i].role) != roles.end());
  return learnt;
}

// What a file's chats are read by.
struct ChatReader {
  ChatFormat format;
  const std::vector<std::string>& roles;
  UnreadKeys unread;
  AnswersWithoutNumber golds;
  int64_t weightless = 0;  // conversations

  std::optional<Example> read(const Record& record) {
    std::vector<Turn> turns = turns_of(record, unread);
    chat_pieces(format, messages_of(turns));  // refuses what follows the last turn to learn, too
    turns.resize(turns_to_learn(record, turns, roles));
    if (turns.empty()) {
      ++weightless;
      return std::nullopt;
    }
    const auto messages = messages_of(turns);
    const auto pieces = chat_pieces(format, messages);
    Example example = example_of(pieces, learnt_pieces(pieces, turns, roles));
    const auto before = std::span(messages).first(messages.size() - 1);
    if (messages.back().role == "assistant" && !before.empty()) {
      example.prompt = format_chat(format, before, true);
      example.gold = golds.gold_of(messages.back().content, record.line).value_or("");
    } else {
      for (const PromptPart& part : example.parts) example.prompt += part.text;
    }
    const bool plain = example.parts.size() == 1 && !example.parts[0].learnt && !example.parts[0].ends;
    if (plain && example.parts[0].text == example.prompt) example.parts.clear();
    return example;
  }
};

}  // namespace

std::vector<Example> read_chats(const std::filesystem::path& path, ChatFormat format,
                                const std::vector<std::string>& roles, std::vector<std::string>& notes) {
  ChatReader reader{.format = format, .roles = roles, .unread = {}, .golds = {}};
  std::vector<Example> examples;
  for_each_record(path, [&](const Record& record) {
    try {
      if (auto example = reader.read(record)) examples.push_back(std::move(*example));
    } catch (const InputError& error) {  // of the chat format: it knows no line
      BadInput problem = error.problem();
      problem.file = path.string();
      problem.line = record.line;
      throw InputError(problem);
    }
  });
  if (examples.empty())
    throw InputError(BadInput{.file = path.string(),
                              .found = "no turn to learn: all have weight 0",
                              .expected = "a turn of data.train_roles (" + join(roles) + ")"});
  if (reader.weightless > 0)
    notes.push_back(path.string() + ": " + std::to_string(reader.weightless) +
                    " conversations are left out: their weights of 0 leave nothing to learn");
  reader.unread.note(path, notes);
  reader.golds.note(path, notes);
  return examples;
}

}  // namespace attnlab
