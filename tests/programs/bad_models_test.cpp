// Model folders in which one file is not what it should be, given to the programs that read it: exit code 2,
// and one line with file, place and what is expected.
#include <nlohmann/json.hpp>

#include "run_program.h"
#include "small_safetensors.h"

namespace attnlab::test {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

// The shipped model, of which files are replaced.
class SpoilableModel {
 public:
  SpoilableModel() {
    fs::create_directory(path());
    for (const char* name : {"config.json", "model.safetensors", "tokenizer.json"})
      fs::create_symlink(fs::absolute(fs::path(base()) / name), path() / name);
    write_file_atomic(folder_.path() / "ids", safetensors_bytes<int64_t>("input_ids", "I64", {1, 2}, {1, 2}));
  }
  fs::path path() const { return folder_.path() / "model"; }
  void replace(const std::string& file, const std::string& bytes) const {
    fs::remove(path() / file);
    write_file_atomic(path() / file, bytes);
  }
  void remove(const std::string& file) const { fs::remove(path() / file); }

  std::string command(const std::string& program) const {
    const std::string start = program + " --model " + path().string(), out = output(program).string();
    if (program == "model_logits")
      return start + " --device cpu --ids " + (folder_.path() / "ids").string() + " --out " + out;
    if (program == "generate_text") return start + " --device cpu --prompt a --max-new-tokens 1";
    if (program == "convert_model") return start + " --device cpu --to mla_identity --out " + out;
    return start;
  }
  // What every one of these programs says; nothing is written.
  void refuse(const std::vector<std::string>& programs, const std::string& what) const {
    for (const auto& program : programs) {
      check_refused(command(program), what);
      CHECK_FALSE(fs::exists(output(program)));
    }
  }

 private:
  fs::path output(const std::string& program) const { return folder_.path() / ("out-" + program); }
  TemporaryFolder folder_;
};

const std::vector<std::string> kAllReaders{"model_logits", "generate_text", "convert_model", "inspect_model"};

std::string config_with(const std::string& key, const std::string& value) {
  json config = json::parse(read_file(fs::path(base()) / "config.json"));
  config.erase(key);
  std::string text = config.dump();
  text.pop_back();
  return text + ",\"" + key + "\":" + value + "}";
}

}  // namespace

TEST_CASE("the model that is spoilt here is read by all programs where nothing is wrong with it") {
  for (const auto& program : kAllReaders) {
    const SpoilableModel model;
    const Ran outcome = run_program(model.command(program));
    INFO(outcome.err);
    CHECK(outcome.code == 0);
    CHECK(outcome.err.find("note:") == std::string::npos);
  }
}

TEST_CASE("programs refuse a value of config.json that they can't take: file, key, value, what it should be") {
  struct Row {
    const char* key;
    const char* value;
    const char* message;
  };
  const std::vector<Row> rows{
      {"num_hidden_layers", "\"6\"", "found \"6\", expected a whole number from 1"},
      {"num_hidden_layers", "6.0", "found 6.0, expected a whole number from 1"},
      {"num_hidden_layers", "-6", "found -6, expected a whole number from 1"},
      {"num_hidden_layers", "true", "found true, expected a whole number from 1"},
      {"hidden_size", "99999999999999999999999", "found 9.999999999999999e+22, expected a whole number from 1"},
      {"hidden_size", "18446744073709551615", "found 18446744073709551615, expected a whole number from 1"},
      {"vocab_size", "1099511627776", "found 1099511627776, expected a whole number from 1 to 2147483648"},
      {"vocab_size", "null", "found null, expected a whole number"},
      {"intermediate_size", "[512]", "found [512], expected a whole number"},
      {"rms_norm_eps", "0", "found 0, expected a number above 0"},
      {"rms_norm_eps", "\"1e-5\"", "found \"1e-5\", expected a number above 0"},
      {"rope_theta", "-1e4", "found -10000.0, expected a number above 0"},
      {"rope_scaling", "[]", "found [], expected an object"},
      {"tie_word_embeddings", "1", "found 1, expected true or false"},
      {"hidden_act", "\"gelu\"", "found \"gelu\", expected \"silu\""},
      {"model_type", "\"lama\"", "found 'lama' (did you mean 'llama'?), expected one of"},
      {"model_type", "\"a\\nb\"", "found 'a?b', expected one of"},
      {"is_causal", "false", "found false, expected true"}};
  const SpoilableModel model;
  for (const auto& [key, value, message] : rows) {
    model.replace("config.json", config_with(key, value));
    model.refuse(kAllReaders, (model.path() / "config.json").string() + ": " + key + ": " + message);
  }
  model.replace("config.json", config_with("quantization_config", "{\"bits\":4,\"quant_method\":\"awq\"}"));
  model.refuse(kAllReaders, (model.path() / "config.json").string() +
                                ": quantization_config.quant_method: found \"awq\", expected \"gptq\"");
}

TEST_CASE("programs refuse a config.json that is no JSON: file, line, what stands there") {
  const std::vector<std::pair<std::string, std::string>> rows{
      {"", ": found an empty file, expected a map of keys"},
      {"[]", ": found array, expected a map of keys"},
      {config_with("hidden_size", "12abc"), ":1: found malformed JSON at character "},
      {"{\n\"hidden_size\": 1e999}", ":2: found 1e999, a number that no double holds"},
      {"{\"hidden_size\": 1, \"hidden_size\": 2}", ": hidden_size: found the key twice"},
      {"version https://git-lfs.github.com/spec/v1\n", ": found a pointer of git-lfs"},
      {"<!DOCTYPE html>", ": found a web page"}};
  const SpoilableModel model;
  for (const auto& [bytes, message] : rows) {
    model.replace("config.json", bytes);
    model.refuse(kAllReaders, (model.path() / "config.json").string() + message);
  }
}

TEST_CASE("programs refuse weights that are not what their name says, or in another format") {
  const std::vector<std::pair<std::string, std::string>> rows{
      {"", ": found a file of 0 bytes, expected a safetensors file"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4976698672\n",
       ": found a git-lfs pointer"},
      {std::string("PK\x03\x04\x00\x00\x08\x08", 8) + "archive",
       ": found a zip archive, as torch.save writes it"},
      {std::string("\x10\x00\x00\x00\x00\x00\x00\x00{\"a\": 1e999}    ", 24), ":1: found 1e999, a number"},
      {safetensors_bytes<float>("w", "F8_E4M3", {4}, {1}), ": w: found dtype F8_E4M3, expected one of I64"}};
  const SpoilableModel model;
  for (const auto& [bytes, message] : rows) {
    model.replace("model.safetensors", bytes);
    model.refuse(kAllReaders, (model.path() / "model.safetensors").string() + message);
  }
  model.replace("model.safetensors", safetensors_bytes<float>("_orig_mod.lm_head.weight", "F32", {1}, {1}));
  model.refuse(kAllReaders,
               model.path().string() + ": _orig_mod.lm_head.weight: found '_orig_mod.', which torch");
  model.remove("model.safetensors");
  model.replace("model.safetensors.index.json", "{\"weight_map\": {\"w\": 3}}");
  model.refuse(kAllReaders,
               "model.safetensors.index.json: weight_map.w: found a JSON number, expected the name");
  model.remove("model.safetensors.index.json");
  model.replace("consolidated.safetensors", "x");
  model.refuse({"model_logits", "generate_text", "convert_model"},  // a config alone can be inspected
               model.path().string() + ": found weights in Mistral's own format (consolidated.safetensors)");
  model.remove("config.json");
  model.refuse(kAllReaders, "Mistral's own format");
}

TEST_CASE("programs refuse ids and tokenizers that are none, before they print anything") {
  const SpoilableModel model;
  for (const char* id : {"-1", "2.0", "\"2\"", "18446744073709551615"}) {
    model.replace("generation_config.json", std::string("{\"eos_token_id\": ") + id + "}");
    model.refuse({"generate_text"},
                 (model.path() / "generation_config.json").string() + ": eos_token_id: found ");
  }
  model.remove("generation_config.json");
  model.replace("tokenizer.json", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n");
  model.refuse({"generate_text"}, (model.path() / "tokenizer.json").string() + ": found a pointer of git-lfs");
}

TEST_CASE("what is passed over in reading is noted on standard error, and changes nothing") {
  const SpoilableModel model;
  const Ran plain = run_program(model.command("generate_text"));
  REQUIRE(plain.code == 0);
  model.replace("config.json", config_with("attention_dropout", "0.1"));
  for (const auto& program : kAllReaders) {
    const Ran outcome = run_program(model.command(program));
    INFO(outcome.err);
    CHECK(outcome.code == 0);
    CHECK_THAT(outcome.err, ContainsSubstring("note: " + (model.path() / "config.json").string() +
                                              ": attention_dropout: 0.1 is not used"));
    if (program == "generate_text") CHECK(outcome.out == plain.out);
  }
}

}  // namespace attnlab::test
