#include "data/chat_reader.h"

#include <algorithm>
#include <span>
#include <utility>

#include "core/errors.h"
#include "core/jsonl.h"
#include "data/answers.h"

namespace attnlab {
namespace {

std::string text_of(const Record& record, const nlohmann::json& message, size_t index, const char* key) {
  const std::string name = "messages[" + std::to_string(index) + "]." + key;
  const auto value = message.find(key);
  if (value == message.end()) record.fail(name, "no such key", "a string");
  if (!value->is_string()) record.fail(name, value->type_name(), "a string");
  return value->get<std::string>();
}

std::vector<ChatMessage> messages_of(const Record& record) {
  constexpr const char* expected = "a list of {\"role\", \"content\"}";
  const auto& list = record.member("messages", expected);
  if (!list.is_array() || list.empty())
    record.fail("messages", list.is_array() ? "an empty list" : list.type_name(), expected);
  std::vector<ChatMessage> messages;
  for (size_t i = 0; i < list.size(); ++i) {
    if (!list[i].is_object()) record.fail("messages[" + std::to_string(i) + "]", list[i].type_name(), expected);
    messages.push_back({text_of(record, list[i], i, "role"), text_of(record, list[i], i, "content")});
  }
  return messages;
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

size_t last_learnt(const Record& record, const std::vector<ChatMessage>& messages,
                   const std::vector<std::string>& roles) {
  const auto found = std::find_if(messages.rbegin(), messages.rend(), [&](const ChatMessage& message) {
    return std::find(roles.begin(), roles.end(), message.role) != roles.end();
  });
  if (found == messages.rend())
    record.fail("messages", "no turn to learn", "a turn of data.train_roles (" + join(roles) + ")");
  return static_cast<size_t>(messages.rend() - found);
}

Example read_chat(const Record& record, ChatFormat format, const std::vector<std::string>& roles) {
  std::vector<ChatMessage> messages = messages_of(record);
  chat_pieces(format, messages);  // refuses what follows the last turn to learn, too
  messages.resize(last_learnt(record, messages, roles));
  const auto pieces = chat_pieces(format, messages);
  std::vector<bool> learnt;
  for (const ChatPiece& piece : pieces)
    learnt.push_back(std::find(roles.begin(), roles.end(), piece.role) != roles.end());
  Example example = example_of(pieces, learnt);
  const auto before = std::span(messages).first(messages.size() - 1);
  if (messages.back().role == "assistant" && !before.empty()) {
    example.prompt = format_chat(format, before, true);
    example.gold = extract_answer(example.answer);
  } else {
    for (const PromptPart& part : example.parts) example.prompt += part.text;
  }
  const bool plain = example.parts.size() == 1 && !example.parts[0].learnt && !example.parts[0].ends;
  if (plain && example.parts[0].text == example.prompt) example.parts.clear();
  return example;
}

}  // namespace

std::vector<Example> read_chats(const std::filesystem::path& path, ChatFormat format,
                                const std::vector<std::string>& roles) {
  std::vector<Example> examples;
  for_each_record(path, [&](const Record& record) {
    try {
      examples.push_back(read_chat(record, format, roles));
    } catch (const InputError& error) {  // of the chat format: it knows no line
      BadInput problem = error.problem();
      problem.file = path.string();
      problem.line = record.line;
      throw InputError(problem);
    }
  });
  return examples;
}

}  // namespace attnlab
