// Chat formats against strings written out from the published formats.
#include "text/chat.h"

#include <fstream>

#include "catch.h"
#include "core/errors.h"
#include "text/chat_template.h"

using namespace attnlab;

namespace {

const std::vector<ChatMessage> kQuestion{{"user", "Hello"}};
const std::vector<ChatMessage> kTalk{
    {"system", "Be brief."}, {"user", "Hello"}, {"assistant", " Hi there "}, {"user", "Who are you?"}};
// The same without the system message, which gemma has not.
const std::vector<ChatMessage> kPlainTalk(kTalk.begin() + 1, kTalk.end());

void check_refused(ChatFormat format, const std::vector<ChatMessage>& messages, const std::string& message,
                   bool generation_prompt = true) {
  CHECK_THROWS_AS(format_chat(format, messages, generation_prompt), InputError);
  CHECK_THROWS_WITH(format_chat(format, messages, generation_prompt), ContainsSubstring(message));
}

}  // namespace

TEST_CASE("llama3 marks roles with header tokens and trims") {
  const std::string talk =
      "<|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
      "<|start_header_id|>user<|end_header_id|>\n\nHello<|eot_id|>"
      "<|start_header_id|>assistant<|end_header_id|>\n\nHi there<|eot_id|>"
      "<|start_header_id|>user<|end_header_id|>\n\nWho are you?<|eot_id|>";
  CHECK(format_chat(ChatFormat::llama3, kTalk, false) == talk);
  CHECK(format_chat(ChatFormat::llama3, kTalk, true) ==
        talk + "<|start_header_id|>assistant<|end_header_id|>\n\n");
}

TEST_CASE("chatml keeps the content as it is, qwen25 brings its system message") {
  const std::string talk =
      "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n"
      "<|im_start|>assistant\n Hi there <|im_end|>\n<|im_start|>user\nWho are you?<|im_end|>\n";
  for (const auto format : {ChatFormat::chatml, ChatFormat::qwen25}) {
    CHECK(format_chat(format, kTalk, false) == talk);
    CHECK(format_chat(format, kTalk, true) == talk + "<|im_start|>assistant\n");
  }
  CHECK(format_chat(ChatFormat::chatml, kQuestion, true) ==
        "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n");
  CHECK(format_chat(ChatFormat::qwen25, kQuestion, true) ==
        "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n");
}

TEST_CASE("gemma calls the assistant model") {
  CHECK(format_chat(ChatFormat::gemma, kPlainTalk, true) ==
        "<start_of_turn>user\nHello<end_of_turn>\n<start_of_turn>model\nHi there<end_of_turn>\n"
        "<start_of_turn>user\nWho are you?<end_of_turn>\n<start_of_turn>model\n");
}

TEST_CASE("phi4 separates with a token, phi4_mini names roles by tokens") {
  CHECK(format_chat(ChatFormat::phi4, kTalk, true) ==
        "<|im_start|>system<|im_sep|>Be brief.<|im_end|><|im_start|>user<|im_sep|>Hello<|im_end|>"
        "<|im_start|>assistant<|im_sep|> Hi there <|im_end|><|im_start|>user<|im_sep|>Who are you?<|im_end|>"
        "<|im_start|>assistant<|im_sep|>");
  CHECK(
      format_chat(ChatFormat::phi4_mini, kTalk, true) ==
      "<|system|>Be brief.<|end|><|user|>Hello<|end|><|assistant|> Hi there <|end|><|user|>Who are you?<|end|>"
      "<|assistant|>");
}

TEST_CASE("llama2 and mistral tell the system message inside the user's") {
  CHECK(format_chat(ChatFormat::llama2, kTalk, true) ==
        "[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHello [/INST] Hi there </s><s>[INST] Who are you? [/INST]");
  CHECK(format_chat(ChatFormat::mistral, kTalk, true) ==
        "[INST] Be brief.\n\nHello [/INST]  Hi there </s>[INST] Who are you? [/INST]");
  CHECK(format_chat(ChatFormat::mistral_v3, kTalk, true) ==
        "[INST] Hello[/INST]  Hi there </s>[INST] Be brief.\n\nWho are you?[/INST]");
  CHECK(format_chat(ChatFormat::mistral_nemo, kTalk, true) ==
        "[INST]Hello[/INST] Hi there </s>[INST]Be brief.\n\nWho are you?[/INST]");
  CHECK(format_chat(ChatFormat::mistral, kQuestion, false) == "[INST] Hello [/INST]");
}

TEST_CASE("an answer ends with the format's token unless that is the document's end") {
  CHECK(format_answer(ChatFormat::llama3, "Hi") == "Hi<|eot_id|>");
  CHECK(format_answer(ChatFormat::qwen25, " Hi") == " Hi<|im_end|>");
  CHECK(format_answer(ChatFormat::gemma, " Hi") == "Hi<end_of_turn>");
  CHECK(format_answer(ChatFormat::phi4_mini, "Hi") == "Hi<|end|>");
  CHECK(format_answer(ChatFormat::llama2, "Hi") == "Hi ");
  CHECK(format_answer(ChatFormat::mistral, "Hi") == "Hi");
}

TEST_CASE("prompt and answer make up the conversation") {
  for (const auto& [name, format] : EnumNames<ChatFormat>::rows) {
    INFO(name);
    const std::vector<ChatMessage> both{{"user", "Hello"}, {"assistant", "Hi"}};
    const std::string whole = format_chat(format, both, false);
    const std::string prompt = format_chat(format, kQuestion, true);
    REQUIRE(whole.starts_with(prompt));
    const std::string rest = whole.substr(prompt.size());
    const size_t found = rest.find(format_answer(format, "Hi"));
    CHECK(found <= 1);  // the space that the tokenizer brings
    CHECK(rest.find(stop_tokens(format).front()) != std::string::npos);
  }
}

TEST_CASE("conversations that a format has no words for are refused") {
  check_refused(ChatFormat::llama3, {}, "messages: found none");
  check_refused(ChatFormat::chatml, {{"tool", "x"}}, "messages[0].role: found 'tool', expected one of system");
  check_refused(ChatFormat::gemma, kTalk, "messages[0].role: found 'system', expected one of user, assistant");
  check_refused(ChatFormat::phi4, {{"user", "a"}, {"system", "b"}}, "messages[1].role: found 'system'");
  for (const auto format : {ChatFormat::gemma, ChatFormat::llama2, ChatFormat::mistral}) {
    check_refused(format, {{"assistant", "a"}}, "messages[0].role: found 'assistant', expected 'user'");
    check_refused(format, {{"user", "a"}, {"user", "b"}},
                  "messages[1].role: found 'user', expected 'assistant'");
    check_refused(format, {{"user", "a"}, {"assistant", "b"}}, "'user' last");
  }
  check_refused(ChatFormat::mistral, {{"system", "a"}}, "messages[1].role: found nothing, expected 'user'",
                false);
  CHECK_NOTHROW(format_chat(ChatFormat::chatml, std::vector<ChatMessage>{{"user", "a"}, {"user", "b"}}, true));
}

TEST_CASE("a conversation's pieces one behind the other are its text") {
  for (const auto& [name, format] : EnumNames<ChatFormat>::rows) {
    CAPTURE(name);
    const auto& talk = format == ChatFormat::gemma ? kPlainTalk : kTalk;
    std::string text;
    for (const ChatPiece& piece : chat_pieces(format, talk))
      text +=
          (piece.begins ? "<s>" : "") + piece.header + piece.body + (piece.ends ? "</s>" : "") + piece.after;
    CHECK(text == format_chat(format, talk, false));
  }
}

TEST_CASE("pieces part an assistant's header from what it says, end of turn included") {
  const auto chatml = chat_pieces(ChatFormat::chatml, kTalk);
  REQUIRE(chatml.size() == 4);
  CHECK(chatml[2].role == "assistant");
  CHECK(chatml[2].header == "<|im_start|>assistant\n");
  CHECK(chatml[2].body == " Hi there <|im_end|>");
  CHECK(chatml[2].after == "\n");
  CHECK_FALSE(chatml[2].ends);
  const auto llama2 = chat_pieces(ChatFormat::llama2, kTalk);  // the system message is inside the user's
  REQUIRE(llama2.size() == 3);
  CHECK(llama2[1].header == " ");
  CHECK(llama2[1].body == "Hi there ");
  CHECK(llama2[1].ends);
  CHECK(llama2[2].begins);
  CHECK(llama2[2].header + llama2[2].body == "[INST] Who are you? [/INST]");
  CHECK_FALSE(chat_pieces(ChatFormat::mistral, kTalk)[2].begins);
}

TEST_CASE(
    "a chat template is found beside a tokenizer in each of its places, and its format told by its tokens") {
  using enum ChatFormat;
  const test::TemporaryFolder folder;
  const auto tokenizer = folder.path() / "tokenizer.json";
  const auto write = [&](const char* name, const std::string& text) {
    std::ofstream(folder.path() / name) << text;
  };
  CHECK(chat_template_beside(tokenizer).empty());
  write("tokenizer_config.json",
        R"({"chat_template": [{"name": "tools", "template": "a"}, {"name": "default", "template": "b"}]})");
  CHECK(chat_template_beside(tokenizer) == "b");
  write("tokenizer_config.json", R"({"chat_template": "c"})");
  CHECK(chat_template_beside(tokenizer) == "c");
  write("chat_template.json", R"({"chat_template": "d"})");
  CHECK(chat_template_beside(tokenizer) == "d");
  write("chat_template.jinja", "e");
  CHECK(chat_template_beside(tokenizer) == "e");
  CHECK(formats_like("{{ x }}").empty());
  CHECK(formats_like("[INST] {{ x }}") == std::vector{mistral, mistral_v3, mistral_nemo});
  // Each format's own text is told as that format, or as one of several.
  for (const auto& [name, format] : EnumNames<ChatFormat>::rows) {
    if (format == llama2) continue;  // without a system message it is the mistrals'
    INFO(name);
    const auto like = formats_like(format_chat(format, kQuestion, true));
    CHECK(std::count(like.begin(), like.end(), format) == 1);
  }
  CHECK(formats_like(format_chat(llama2, kTalk, true)) == std::vector{llama2});
}
