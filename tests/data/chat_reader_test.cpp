// Conversations: which turns are learnt, and what is refused.
#include "byte_tokenizer.h"
#include "core/errors.h"
#include "data/batch.h"
#include "data/token_store.h"
#include "gzip_file.h"

using namespace attnlab;

namespace {

constexpr const char* kTalk =
    R"({"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "U"},)"
    R"( {"role": "assistant", "content": "A"}, {"role": "user", "content": "V"},)"
    R"( {"role": "assistant", "content": "B\n#### 7"}, {"role": "user", "content": "W"}], "source": "x"})";

struct Chats {
  test::TemporaryFolder folder;
  DataConfig config{.kind = DataKind::chat_jsonl, .heldout_share = 0};

  explicit Chats(const std::string& text) {
    config.path = (folder.path() / "chat.jsonl").string();
    write_file_atomic(config.path, text);
  }
  Example first() const { return open_dataset(config, Split::train)->get(0); }
  std::string error() const {
    try {
      open_dataset(config, Split::train);
    } catch (const InputError& error) {
      return error.what();
    }
    return "accepted";
  }
};

// The document as text, what is learnt in braces.
std::string marked(const Example& example) {
  const auto tokenizer = test::byte_tokenizer();
  std::string text;
  bool learnt = false;
  for (const StoredToken token :
       tokenise(example, *tokenizer, {.bos_id = test::bos_id, .eos_id = test::eos_id})) {
    if (is_learnt(token) != learnt) text += learnt ? "}" : "{";
    learnt = is_learnt(token);
    const std::vector<int64_t> id{id_of(token)};
    text += tokenizer->decode(id, false);
  }
  return text + (learnt ? "}" : "");
}

}  // namespace

TEST_CASE("every assistant turn of a conversation is learnt, to the end of its turn, and nothing else") {
  Chats chats(kTalk);
  CHECK(marked(chats.first()) ==
        "<bos><|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n"
        "{A<|im_end|>}\n<|im_start|>user\nV<|im_end|>\n<|im_start|>assistant\n{B\n#### 7<|im_end|><eos>}");
  CHECK(chats.first().gold == "7");
  CHECK(chats.first().prompt.ends_with("<|im_start|>user\nV<|im_end|>\n<|im_start|>assistant\n"));
}

TEST_CASE("train_roles chooses whose turns are learnt, others than the assistant's with their header") {
  Chats chats(kTalk);
  chats.config.train_roles = {"user"};
  CHECK(marked(chats.first()) ==
        "<bos><|im_start|>system\nS<|im_end|>\n{<|im_start|>user\nU<|im_end|>}\n<|im_start|>assistant\n"
        "A<|im_end|>\n{<|im_start|>user\nV<|im_end|>}\n<|im_start|>assistant\nB\n#### 7<|im_end|>\n"
        "{<|im_start|>user\nW<|im_end|><eos>}");
  CHECK(chats.first().gold.empty());
  chats.config.train_roles = {"system", "assistant"};
  CHECK_THAT(marked(chats.first()),
             ContainsSubstring("<bos>{<|im_start|>system\nS<|im_end|>}\n<|im_start|>user"));
}

TEST_CASE("a turn of weight 0 is not learnt, one of weight 1 is as one without") {
  const auto talk = [](const std::string& first, const std::string& last) {
    return R"({"messages": [{"role": "user", "content": "U"}, {"role": "assistant", "content": "A")" + first +
           R"(}, {"role": "user", "content": "V"}, {"role": "assistant", "content": "B")" + last + "}]}\n";
  };
  const std::string given = "<bos><|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n";
  const std::string next = "\n<|im_start|>user\nV<|im_end|>\n<|im_start|>assistant\n";
  const std::string both = given + "{A<|im_end|>}" + next + "{B<|im_end|><eos>}";
  for (const char* one : {"", R"(, "weight": 1)", R"(, "weight": 1.0)", R"(, "weight": null)"})
    CHECK(marked(Chats(talk(one, one)).first()) == both);
  CHECK(marked(Chats(talk(R"(, "weight": 0)", "")).first()) ==
        given + "A<|im_end|>" + next + "{B<|im_end|><eos>}");
  CHECK(marked(Chats(talk("", R"(, "weight": 0.0)")).first()) == given + "{A<|im_end|><eos>}");
  for (const char* other : {"2", "0.5", "-1", "true", "\"0\"", "[0]"}) {
    CAPTURE(other);
    CHECK_THAT(Chats(talk("", std::string(", \"weight\": ") + other)).error(),
               ContainsSubstring("chat.jsonl:1: messages[3].weight: found ") &&
                   ContainsSubstring("expected 0 (the turn is not learnt) or 1"));
  }
  Chats system(R"({"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "U"},)"
               R"( {"role": "assistant", "content": "A", "weight": 0}, {"role": "user", "content": "V"},)"
               R"( {"role": "assistant", "content": "B"}]})");
  system.config.prompt_template = chat_template(ChatFormat::llama2);
  CHECK(marked(system.first()) ==
        "<bos>[INST] <<SYS>>\nS\n<</SYS>>\n\nU [/INST] A <eos><bos>[INST] V [/INST]{B <eos>}");
}

TEST_CASE("conversations that weights leave nothing to learn in are left out and counted") {
  const std::string none = R"({"messages": [{"role": "user", "content": "U"},)"
                           R"( {"role": "assistant", "content": "A", "weight": 0}]})";
  CHECK_THAT(Chats(none).error(), ContainsSubstring("chat.jsonl: found no turn to learn: all have weight 0"));
  const Chats some(none + "\n" + kTalk + "\n" + none);
  const auto data = open_dataset(some.config, Split::train);
  CHECK(data->size() == 1);
  REQUIRE(data->notes().size() == 1);
  CHECK_THAT(data->notes()[0], ContainsSubstring("2 conversations are left out"));
}

TEST_CASE("keys of chats that could mean something are named once") {
  const Chats chats(std::string(kTalk) + "\n" +
                    R"({"messages": [{"role": "user", "content": "U", "name": "n"},)"
                    R"( {"role": "assistant", "content": "A", "train": false}], "tools": [], "id": 3})");
  const auto notes = open_dataset(chats.config, Split::train)->notes();
  REQUIRE(notes.size() == 1);
  CHECK_THAT(notes[0],
             ContainsSubstring("chat.jsonl: keys that are not read: messages[].name (1 times, first in "
                               "line 2), messages[].train (1 times, first in line 2), tools (1 times"));
}

TEST_CASE("formats whose turns end as documents do get eos there, and no blank that a tokenizer would add") {
  Chats chats(kTalk);
  chats.config.prompt_template = chat_template(ChatFormat::llama2);
  CHECK(marked(chats.first()) ==
        "<bos>[INST] <<SYS>>\nS\n<</SYS>>\n\nU [/INST]{A <eos>}<bos>[INST] V [/INST]{B\n#### 7 <eos>}");
  chats.config.prompt_template = chat_template(ChatFormat::mistral_nemo);
  CHECK(marked(chats.first()) == "<bos>[INST]U[/INST]{A<eos>}[INST]S\n\nV[/INST]{B\n#### 7<eos>}");
}

TEST_CASE("a conversation of one question is the same as an instruction in that format") {
  Chats chats(R"({"messages": [{"role": "user", "content": "U"}, {"role": "assistant", "content": "A"}]})");
  for (const auto& [name, format] : EnumNames<ChatFormat>::rows) {
    CAPTURE(name);
    chats.config.prompt_template = chat_template(format);
    const Example pair{.prompt = apply_template(chats.config.prompt_template, "U"),
                       .answer = apply_template_to_answer(chats.config.prompt_template, "A")};
    CHECK(marked(chats.first()) == marked(pair));
    CHECK(chats.first().prompt == pair.prompt);
  }
}

TEST_CASE("conversations of another form are refused with file, line and key") {
  const std::string good = std::string(kTalk) + "\n";
  const auto error = [&](const std::string& line) { return Chats(good + line).error(); };
  CHECK_THAT(error(R"({"conversations": []})"), ContainsSubstring("chat.jsonl:2: messages: found no such key"));
  CHECK_THAT(error(R"({"mesages": []})"), ContainsSubstring("did you mean"));
  CHECK_THAT(error(R"({"messages": []})"), ContainsSubstring("found an empty list"));
  CHECK_THAT(error(R"({"messages": "a"})"), ContainsSubstring("found string, expected a list"));
  CHECK_THAT(error(R"({"messages": [{"role": "user"}]})"),
             ContainsSubstring(":2: messages[0].content: found no such key"));
  CHECK_THAT(error(R"({"messages": [{"role": "user", "content": null}]})"),
             ContainsSubstring("messages[0].content: found null, expected a string"));
  CHECK_THAT(error(R"({"messages": [{"role": "tool", "content": ""}]})"),
             ContainsSubstring("chat.jsonl:2: messages[0].role: found 'tool', expected one of system, user"));
  CHECK_THAT(error(R"({"messages": [{"role": "user", "content": "U"}]})"),
             ContainsSubstring(":2: messages: found no turn to learn"));
}

TEST_CASE("train_roles and templates that chats cannot have are refused") {
  Chats chats(kTalk);
  chats.config.train_roles = {"asistant"};
  CHECK_THAT(chats.error(), ContainsSubstring("data.train_roles: found 'asistant'"));
  CHECK_THAT(chats.error(), ContainsSubstring("did you mean 'assistant'"));
  chats.config.train_roles = {};
  CHECK_THAT(chats.error(), ContainsSubstring("data.train_roles: found an empty list"));
  chats.config.train_roles = {"assistant"};
  chats.config.prompt_template = PromptTemplate::alpaca;
  CHECK_THAT(chats.error(), ContainsSubstring("data.prompt_template: found 'alpaca'"));
}

TEST_CASE("compressed JSONL is read, text_jsonl gives documents") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "texts.jsonl.gz";
  test::append_gzip(path, "{\"text\": \"one\"}\n{\"text\": \"two\", \"id\": 3}\n");
  const auto data =
      open_dataset({.kind = DataKind::text_jsonl, .path = path.string(), .heldout_share = 0}, Split::train);
  REQUIRE(data->size() == 2);
  CHECK(data->get(1).answer == "two");
  CHECK(data->get(1).prompt.empty());
}
