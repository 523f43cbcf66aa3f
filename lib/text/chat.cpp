#include "text/chat.h"

#include <algorithm>
#include <variant>

#include "core/errors.h"

namespace attnlab {
namespace {

// open ROLE separator CONTENT end after, for each message.
struct TurnFormat {
  std::string_view open, separator, end, after;
  std::string_view assistant = "assistant";  // the role's name in the text
  bool trims = false;                        // white space around the content goes
  bool takes_turns = false;                  // user first, then assistant, user, ...
  bool has_system = true;
  std::string_view default_system;  // where the conversation has none; empty: none
};

// [INST] USER [/INST] ASSISTANT </s>, the system message inside a user's. User and assistant take turns.
struct InstructFormat {
  std::string_view before_user, after_user, before_answer, after_answer;
  bool begins_again = false;  // <s> between an assistant's message and the next user's
  std::string_view before_system = "", after_system = "\n\n";
  bool system_in_last = false;  // in the last message of the user, not the first
  bool trims = false;
};

struct Row {
  ChatFormat format;
  std::variant<TurnFormat, InstructFormat> rules;
  std::vector<std::string> stop_tokens;
};

const TurnFormat kChatMl{.open = "<|im_start|>", .separator = "\n", .end = "<|im_end|>", .after = "\n"};

TurnFormat qwen25() {
  TurnFormat rules = kChatMl;
  rules.default_system = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.";
  return rules;
}

const std::vector<Row>& table() {
  static const std::vector<Row> rows{
      {ChatFormat::llama2,
       InstructFormat{.before_user = "[INST] ",
                      .after_user = " [/INST]",
                      .before_answer = " ",
                      .after_answer = " ",
                      .begins_again = true,
                      .before_system = "<<SYS>>\n",
                      .after_system = "\n<</SYS>>\n\n",
                      .trims = true},
       {"</s>"}},
      {ChatFormat::llama3,
       TurnFormat{.open = "<|start_header_id|>",
                  .separator = "<|end_header_id|>\n\n",
                  .end = "<|eot_id|>",
                  .trims = true},
       {"<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"}},
      {ChatFormat::chatml, kChatMl, {"<|im_end|>", "<|endoftext|>"}},
      {ChatFormat::qwen25, qwen25(), {"<|im_end|>", "<|endoftext|>"}},
      {ChatFormat::mistral,
       InstructFormat{.before_user = "[INST] ", .after_user = " [/INST]", .before_answer = " "},
       {"</s>"}},
      {ChatFormat::mistral_v3,
       InstructFormat{
           .before_user = "[INST] ", .after_user = "[/INST]", .before_answer = " ", .system_in_last = true},
       {"</s>"}},
      {ChatFormat::mistral_nemo,
       InstructFormat{.before_user = "[INST]", .after_user = "[/INST]", .system_in_last = true},
       {"</s>"}},
      {ChatFormat::gemma,
       TurnFormat{.open = "<start_of_turn>",
                  .separator = "\n",
                  .end = "<end_of_turn>",
                  .after = "\n",
                  .assistant = "model",
                  .trims = true,
                  .takes_turns = true,
                  .has_system = false},
       {"<end_of_turn>", "<eos>"}},
      {ChatFormat::phi4,
       TurnFormat{.open = "<|im_start|>", .separator = "<|im_sep|>", .end = "<|im_end|>"},
       {"<|im_end|>", "<|endoftext|>"}},
      {ChatFormat::phi4_mini,
       TurnFormat{.open = "<|", .separator = "|>", .end = "<|end|>"},
       {"<|end|>", "<|endoftext|>"}}};
  return rows;
}

const Row& row_of(ChatFormat format) {
  for (const Row& row : table())
    if (row.format == format) return row;
  ATTNLAB_CHECK(!"a chat format without a row");
  return table().front();
}

std::string_view trimmed(std::string_view text, bool wanted) {
  constexpr std::string_view kSpace = " \t\n\v\f\r";
  const size_t first = text.find_first_not_of(kSpace);
  if (!wanted) return text;
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::string concatenate(std::initializer_list<std::string_view> parts) {
  std::string out;
  for (const std::string_view part : parts) out += part;
  return out;
}

using Messages = std::span<const ChatMessage>;

[[noreturn]] void reject(ChatFormat format, size_t index, const std::string& found, std::string expected) {
  throw InputError(
      BadInput{.key = "messages[" + std::to_string(index) + "].role",
               .found = found,
               .expected = std::move(expected) + " (chat format " + std::string(name_of(format)) + ")"});
}

void check_roles(ChatFormat format, Messages messages, bool has_system) {
  std::vector<std::string> roles{"user", "assistant"};
  if (has_system) roles.insert(roles.begin(), "system");
  for (size_t i = 0; i < messages.size(); ++i) {
    const std::string& role = messages[i].role;
    if (role == "system" && has_system && i > 0)
      reject(format, i, "'system'", "a system message to be the first");
    if (std::find(roles.begin(), roles.end(), role) == roles.end())
      reject(format, i, "'" + role + "'", one_of(roles, role));
  }
}

// After the system message, if there is one: user, assistant, user, ...; before a generation prompt the user's.
void check_turns(ChatFormat format, Messages messages, bool generation_prompt) {
  const size_t first = !messages.empty() && messages[0].role == "system" ? 1 : 0;
  for (size_t i = first; i < messages.size(); ++i) {
    const char* expected = (i - first) % 2 == 0 ? "user" : "assistant";
    if (messages[i].role != expected)
      reject(format, i, "'" + messages[i].role + "'",
             "'" + std::string(expected) + "': they take turns, user first");
  }
  if (messages.size() == first) reject(format, first, "nothing", "'user'");
  if (generation_prompt && messages.back().role != "user")
    reject(format, messages.size() - 1, "'assistant'", "'user' last, for the assistant to answer");
}

std::vector<ChatPiece> turn_pieces(ChatFormat format, const TurnFormat& rules, Messages messages,
                                   bool generation_prompt) {
  check_roles(format, messages, rules.has_system);
  if (rules.takes_turns) check_turns(format, messages, generation_prompt);
  const auto header = [&](std::string_view role) {
    return concatenate({rules.open, role == "assistant" ? rules.assistant : role, rules.separator});
  };
  std::vector<ChatPiece> pieces;
  for (const ChatMessage& message : messages)
    pieces.push_back({.role = message.role,
                      .header = header(message.role),
                      .body = concatenate({trimmed(message.content, rules.trims), rules.end}),
                      .after = std::string(rules.after)});
  if (!rules.default_system.empty() && messages[0].role != "system")
    pieces[0].header.insert(0, concatenate({header("system"), rules.default_system, rules.end, rules.after}));
  return pieces;
}

std::vector<ChatPiece> instruction_pieces(ChatFormat format, const InstructFormat& rules, Messages messages,
                                          bool generation_prompt) {
  check_roles(format, messages, true);
  check_turns(format, messages, generation_prompt);
  std::string system;
  if (messages[0].role == "system") {
    system = concatenate({rules.before_system, trimmed(messages[0].content, rules.trims), rules.after_system});
    messages = messages.subspan(1);
  }
  const size_t last_user = (messages.size() - 1) / 2 * 2;
  std::vector<ChatPiece> pieces;
  for (size_t i = 0; i < messages.size(); ++i) {
    const std::string_view content = trimmed(messages[i].content, rules.trims);
    ChatPiece& piece = pieces.emplace_back(ChatPiece{.role = messages[i].role});
    if (piece.role == "user") {
      const bool told = i == (rules.system_in_last ? last_user : 0);
      piece.begins = i > 0 && rules.begins_again;
      piece.header = rules.before_user;
      piece.body = concatenate({told ? system : "", content, rules.after_user});
    } else {
      piece.header = rules.before_answer;
      piece.body = concatenate({content, rules.after_answer});
      piece.ends = true;
    }
  }
  return pieces;
}

std::vector<ChatPiece> make_pieces(ChatFormat format, Messages messages, bool generation_prompt) {
  if (messages.empty())
    throw InputError(BadInput{.key = "messages", .found = "none", .expected = "at least one"});
  const auto& rules = row_of(format).rules;
  if (const auto* turns = std::get_if<TurnFormat>(&rules))
    return turn_pieces(format, *turns, messages, generation_prompt);
  return instruction_pieces(format, std::get<InstructFormat>(rules), messages, generation_prompt);
}

}  // namespace

std::vector<ChatPiece> chat_pieces(ChatFormat format, Messages messages) {
  return make_pieces(format, messages, false);
}

std::string format_chat(ChatFormat format, Messages messages, bool generation_prompt) {
  std::string out;
  for (const ChatPiece& piece : make_pieces(format, messages, generation_prompt))
    out += concatenate(
        {piece.begins ? "<s>" : "", piece.header, piece.body, piece.ends ? "</s>" : "", piece.after});
  if (const auto* turns = std::get_if<TurnFormat>(&row_of(format).rules); turns && generation_prompt)
    out += concatenate({turns->open, turns->assistant, turns->separator});
  return out;
}

std::string format_answer(ChatFormat format, std::string_view answer) {
  const auto& rules = row_of(format).rules;
  if (const auto* turns = std::get_if<TurnFormat>(&rules))
    return concatenate({trimmed(answer, turns->trims), turns->end});
  const auto& instruct = std::get<InstructFormat>(rules);
  return concatenate({trimmed(answer, instruct.trims), instruct.after_answer});
}

std::vector<std::string> stop_tokens(ChatFormat format) { return row_of(format).stop_tokens; }

}  // namespace attnlab
