#include "data/data_config.h"

#include <algorithm>
#include <initializer_list>

namespace attnlab {

std::optional<ChatFormat> chat_format_of(PromptTemplate format) {
  if (format < PromptTemplate::first_chat_format) return std::nullopt;
  return static_cast<ChatFormat>(static_cast<int>(format) - static_cast<int>(chat_template(ChatFormat{})));
}

bool is_generated(DataKind kind) {
  return kind == DataKind::word_problems || kind == DataKind::code_functions || kind == DataKind::generated ||
         is_retrieval(kind);
}

bool is_retrieval(DataKind kind) {
  return kind == DataKind::passkey || kind == DataKind::key_values || kind == DataKind::variable_trace;
}

std::string why_idle(const DataConfig& config, const std::string& key) {
  const DataKind kind = config.kind;
  const auto any_of = [&](std::initializer_list<const char*> keys) {
    return std::find(keys.begin(), keys.end(), key) != keys.end();
  };
  const std::string this_kind = "kind " + std::string(name_of(kind));
  if (is_generated(kind) && any_of({"path", "heldout_path", "heldout_share"}))
    return this_kind + " makes its examples and reads no file";
  if (!is_generated(kind) && any_of({"difficulty_min", "difficulty_max", "size", "heldout_size", "seed"}))
    return this_kind + " is read from a file";
  if (key == "heldout_share" && !config.heldout_path.empty()) return "heldout_path has the held-out examples";
  if (key == "code_share" && kind != DataKind::generated) return this_kind + " is not generated";
  if (key == "words" && !is_retrieval(kind)) return this_kind + " has no context of so many words";
  if (key == "train_roles" && kind != DataKind::chat_jsonl) return this_kind + " is not chat_jsonl";
  if (key == "extensions" && kind != DataKind::text_folder) return this_kind + " is not text_folder";
  const bool documents = kind == DataKind::text_jsonl || kind == DataKind::text_folder;
  if (key == "prompt_template" && documents) return this_kind + " has no prompts";
  return "";
}

PromptTemplate template_for(const DataConfig& config, DataKind kind) {
  if (config.prompt_template != PromptTemplate::by_kind) return config.prompt_template;
  if (kind == DataKind::word_problems || kind == DataKind::gsm8k || is_retrieval(kind))
    return PromptTemplate::plain;
  if (kind == DataKind::chat_jsonl) return chat_template(ChatFormat::chatml);
  return kind == DataKind::instruction_jsonl ? PromptTemplate::alpaca : PromptTemplate::raw;
}

std::string apply_template(PromptTemplate format, const std::string& prompt) {
  if (format == PromptTemplate::plain) return "Question: " + prompt + "\nAnswer: ";
  if (format == PromptTemplate::alpaca)
    return "Below is an instruction that describes a task. Write a response that appropriately completes the "
           "request.\n\n### Instruction:\n" +
           prompt + "\n\n### Response:\n";
  if (const auto chat = chat_format_of(format)) {
    const ChatMessage message{.role = "user", .content = prompt};
    return format_chat(*chat, {&message, 1}, true);
  }
  return prompt;
}

std::string apply_template_to_answer(PromptTemplate format, const std::string& answer) {
  const auto chat = chat_format_of(format);
  return chat ? format_answer(*chat, answer) : answer;
}

}  // namespace attnlab
