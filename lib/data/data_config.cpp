#include "data/data_config.h"

namespace attnlab {

std::optional<ChatFormat> chat_format_of(PromptTemplate format) {
  if (format < PromptTemplate::first_chat_format) return std::nullopt;
  return static_cast<ChatFormat>(static_cast<int>(format) - static_cast<int>(chat_template(ChatFormat{})));
}

bool is_generated(DataKind kind) {
  return kind == DataKind::word_problems || kind == DataKind::code_functions || kind == DataKind::generated;
}

PromptTemplate template_for(const DataConfig& config, DataKind kind) {
  if (config.prompt_template != PromptTemplate::by_kind) return config.prompt_template;
  if (kind == DataKind::word_problems || kind == DataKind::gsm8k) return PromptTemplate::plain;
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
