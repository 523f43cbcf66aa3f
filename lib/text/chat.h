// Chat formats by name: messages to the text that a family's instruction-tuned models were trained on.
//
// What the tokenizer or the batch puts around a document is not part of the text: no BOS in front and no EOS
// behind the last turn, unless the format ends each turn with it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/names.h"

namespace attnlab {

//   llama2        [INST] and <<SYS>>, as Llama-2-chat
//   llama3        header tokens and <|eot_id|>, as Llama 3 (3.1 and later also tell dates to the model)
//   chatml        <|im_start|> and <|im_end|>, as Qwen 2, Qwen 3 without tools or thinking, and many others
//   qwen25        chatml with Qwen 2.5's own system message where there is none
//   mistral       [INST] as text, version 1: Mistral-7B-Instruct 0.1 and 0.2, Mixtral 8x7B
//   mistral_v3    [INST] as a token: Mistral-7B-Instruct 0.3, Mixtral 8x22B-Instruct 0.1
//   mistral_nemo  the same without spaces (version 3 of the Tekken tokenizer): Mistral Nemo
//   gemma         <start_of_turn> and <end_of_turn>, as Gemma 1 and 2: no system messages
//   phi4          <|im_start|>, <|im_sep|> and <|im_end|>, as Phi-4
//   phi4_mini     <|user|> and <|end|>, as Phi-4-mini
enum class ChatFormat {
  llama2,
  llama3,
  chatml,
  qwen25,
  mistral,
  mistral_v3,
  mistral_nemo,
  gemma,
  phi4,
  phi4_mini
};
template <>
struct EnumNames<ChatFormat> {
  using enum ChatFormat;
  static constexpr std::array<std::pair<std::string_view, ChatFormat>, 10> rows{{{"llama2", llama2},
                                                                                 {"llama3", llama3},
                                                                                 {"chatml", chatml},
                                                                                 {"qwen25", qwen25},
                                                                                 {"mistral", mistral},
                                                                                 {"mistral_v3", mistral_v3},
                                                                                 {"mistral_nemo", mistral_nemo},
                                                                                 {"gemma", gemma},
                                                                                 {"phi4", phi4},
                                                                                 {"phi4_mini", phi4_mini}}};
};

struct ChatMessage {
  std::string role;  // system, user or assistant
  std::string content;
};

// The conversation as text; with `generation_prompt` it ends where the assistant's next answer begins. Throws
// InputError (key: messages[i].role) for no messages, a role that the format lacks, a system message that is
// not the first, and, where the format wants user and assistant in turns, for any other order.
std::string format_chat(ChatFormat format, std::span<const ChatMessage> messages, bool generation_prompt);

// One message as it stands in a conversation's text: header body end after, where `end` is </s> if ends is set,
// and in front of all is <s> if begins is. Texts of a conversation's pieces one behind the other are what
// format_chat gives without a generation prompt.
struct ChatPiece {
  std::string role;
  // What is given before the message's own text (the first one's: a default system message, too). For an
  // assistant it is what the generation prompt ends with; where that is a blank, it stands for the blank that
  // sentencepiece tokenizers put before each text.
  std::string header;
  std::string body;   // the content, with the end of the turn unless that is </s>
  std::string after;  // what separates turns
  bool begins = false, ends = false;
};

// The pieces of a conversation. Throws InputError as format_chat does.
std::vector<ChatPiece> chat_pieces(ChatFormat format, std::span<const ChatMessage> messages);

// The answer to one message as training data write it: what follows format_chat's text with the generation
// prompt, up to the token that ends the turn. That token is left out where it is the EOS that ends a document
// (llama2 and the mistrals), and so is the space in front of the answer: their tokenizers put one before each
// text (mistral_nemo's format has none).
std::string format_answer(ChatFormat format, std::string_view answer);

// The tokens that end the assistant's turn, by surface form; generation stops at any of them. The first is the
// one that the format writes.
std::vector<std::string> stop_tokens(ChatFormat format);

}  // namespace attnlab
