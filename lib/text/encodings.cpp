#include "text/encodings.h"

namespace attnlab::text {
namespace {

// Both cut contractions, words, numbers (Llama 3: of up to three digits), other marks, line ends and spaces.
constexpr std::string_view kLlama3Expression =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwenExpression =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// Llama 3.1 and later; Llama 3 calls four of them reserved. 256 in all.
std::vector<std::string> llama3_special_tokens() {
  std::vector<std::string> names{"<|begin_of_text|>",
                                 "<|end_of_text|>",
                                 "<|reserved_special_token_0|>",
                                 "<|reserved_special_token_1|>",
                                 "<|finetune_right_pad_id|>",
                                 "<|reserved_special_token_2|>",
                                 "<|start_header_id|>",
                                 "<|end_header_id|>",
                                 "<|eom_id|>",
                                 "<|eot_id|>",
                                 "<|python_tag|>"};
  for (int i = 3; names.size() < 256; ++i) {
    std::string name = "<|reserved_special_token_";
    name += std::to_string(i);
    name += "|>";
    names.push_back(std::move(name));
  }
  return names;
}

}  // namespace

const std::vector<Encoding>& known_encodings() {
  static const std::vector<Encoding> table{
      {.name = "llama3",
       .ranks = 128000,
       .expression = kLlama3Expression,
       .special_tokens = llama3_special_tokens(),
       .bos = "<|begin_of_text|>",
       .eos = "<|end_of_text|>"},
      // Qwen 2.5; those of Qwen 2 are the first three.
      {.name = "qwen",
       .ranks = 151643,
       .expression = kQwenExpression,
       .special_tokens = {"<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>",
                          "<|object_ref_end|>", "<|box_start|>", "<|box_end|>", "<|quad_start|>",
                          "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
                          "<|image_pad|>", "<|video_pad|>"},
       .added_tokens = {"<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>",
                        "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"},
       .eos = "<|endoftext|>"}};
  return table;
}

}  // namespace attnlab::text
