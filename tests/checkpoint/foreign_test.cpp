// Folders and files that hold something else than what their names promise, and JSON that is none: the message
// says what is there and what to do, in words of our own.
#include <nlohmann/json.hpp>

#include "checkpoint/checkpoint.h"
#include "checkpoint/end_ids.h"
#include "core/files.h"
#include "core/json.h"
#include "raw_file.h"

using namespace attnlab;
using namespace attnlab::test;
namespace fs = std::filesystem;

namespace {

constexpr const char* kPointer =
    "version https://git-lfs.github.com/spec/v1\noid sha256:"
    "0000000000000000000000000000000000000000000000000000000000000000\nsize 4976698672\n";

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

// One line, with none of the words of the library that parsed.
void check_own_words(const std::string& message) {
  CHECK(message.find('\n') == std::string::npos);
  for (const char* foreign : {"json.exception", "parse error", "syntax error", "stoll", "c10"})
    CHECK(message.find(foreign) == std::string::npos);
}

void write_model(const fs::path& folder) {
  write_checkpoint(folder, nlohmann::ordered_json::object(), {{"w", torch::ones(2)}});
}

TEST_CASE("infinities, which Python writes and JSON lacks, are read as texts, and texts stay as they are") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "config.json";
  write_file_atomic(path, R"({"limit": [0.0, Infinity], "least": -Infinity, "text": "a \" NaN Infinity"})");
  const auto read = parse_json_map(path);
  CHECK(read.at("limit") == nlohmann::json{0.0, "Infinity"});
  CHECK(read.at("least") == "-Infinity");
  CHECK(read.at("text") == "a \" NaN Infinity");
}

}  // namespace

TEST_CASE("a folder with weights in another format says which, in what file, and what to do") {
  struct Row {
    std::vector<const char*> files;
    const char* found;
    const char* expected;
  };
  const std::vector<Row> rows{
      {{"consolidated.safetensors", "params.json"},
       "Mistral's own format (consolidated.safetensors)",
       "download"},
      {{"consolidated.00.pth", "params.json"}, "Meta's own format (consolidated.00.pth)", "convert_llama"},
      {{"pytorch_model.bin"}, "PyTorch's format (pytorch_model.bin)", "save_pretrained"},
      {{"pytorch_model-00001-of-00002.bin", "pytorch_model.bin.index.json"},
       "PyTorch's format (pytorch_model-00001-of-00002.bin)",
       "save_pretrained"},
      {{"model.pt"}, "PyTorch's format (model.pt)", "save_pretrained"},
      {{"model.pth"}, "PyTorch's format (model.pth)", "save_pretrained"},
      {{"a.Q4_K_M.gguf"}, "GGUF (a.Q4_K_M.gguf)", "made from"},
      {{"tf_model.h5"}, "TensorFlow's format (tf_model.h5)", "save_pretrained"},
      {{"flax_model.msgpack"}, "Flax's format (flax_model.msgpack)", "save_pretrained"},
      {{"adapter_config.json", "adapter_model.safetensors"},
       "a LoRA adapter (adapter_model.safetensors)",
       "merge"},
      {{"adapter_model.bin"}, "a LoRA adapter (adapter_model.bin)", "merge"},
      {{"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"},
       "a shard (model-00001-of-00002.safetensors)",
       "model.safetensors.index.json"},
      {{"weights.safetensors"}, "another name (weights.safetensors)", "that name"}};
  for (const bool with_config : {true, false})
    for (const auto& row : rows) {
      INFO(row.found);
      TemporaryFolder folder;
      if (with_config) write_file_atomic(folder.path() / "config.json", "{}");
      for (const char* file : row.files) write_file_atomic(folder.path() / file, "x");
      const auto message = message_of([&] { Checkpoint::open(folder.path()); });
      CHECK_THAT(message, ContainsSubstring(folder.path().string() + ": found ") &&
                              ContainsSubstring(row.found) &&
                              ContainsSubstring(" and no model.safetensors, expected ") &&
                              ContainsSubstring(row.expected));
      check_own_words(message);
    }
}

TEST_CASE("a file in place of a folder says what it is") {
  TemporaryFolder folder;
  write_file_atomic(folder.path() / "m.gguf", "GGUF");
  CHECK_THAT(message_of([&] { Checkpoint::open(folder.path() / "m.gguf"); }),
             ContainsSubstring("found a file: weights in llama.cpp's format GGUF, expected a model folder"));
}

TEST_CASE("a git-lfs pointer, a web page or another format in place of a file is named for what it is") {
  const std::vector<std::pair<std::string, std::string>> contents{
      {"<!DOCTYPE html><html><body>Not found</body></html>", "found a web page"},
      {std::string("PK\x03\x04\x00\x00\x08\x08", 8) + "archive/data.pkl", "found a zip archive"},
      {std::string("\x80\x02}q\x00X\x05\x00", 8) + "model", "found a Python pickle"},
      {std::string("GGUF\x03\x00\x00\x00\x23\x01", 10), "found a GGUF file"},
      {"\x89HDF\r\n\x1a\n and more", "found an HDF5 file"},
      {std::string("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", 10), "found a gzip file"}};
  for (const char* name : {"model.safetensors", "config.json", "generation_config.json"})
    for (const auto& [bytes, found] : contents) {
      INFO(name << " " << found);
      TemporaryFolder folder;
      write_model(folder.path());
      write_file_atomic(folder.path() / name, bytes);
      const auto message = message_of([&] { (void)Checkpoint::open(folder.path()).generation_config(); });
      CHECK_THAT(message, ContainsSubstring((folder.path() / name).string() + ": " + found));
      check_own_words(message);
    }
  for (const char* name : {"config.json", "generation_config.json", "model.safetensors.index.json"}) {
    INFO(name);
    TemporaryFolder folder;
    write_model(folder.path());
    if (std::string(name).ends_with("index.json")) fs::remove(folder.path() / "model.safetensors");
    write_file_atomic(folder.path() / name, kPointer);
    CHECK_THAT(message_of([&] { (void)Checkpoint::open(folder.path()).generation_config(); }),
               ContainsSubstring(std::string(name) + ": found a pointer of git-lfs, not the file itself"));
  }
  TemporaryFolder folder;
  write_model(folder.path());
  write_file_atomic(folder.path() / "model.safetensors", kPointer);
  CHECK_THAT(message_of([&] { Checkpoint::open(folder.path()); }),
             ContainsSubstring("model.safetensors: found a git-lfs pointer"));
}

// Its header's length begins with the bytes of a pickle.
TEST_CASE("a safetensors file whose length looks like another format's beginning is read") {
  std::string header = R"({"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})";
  header.resize(0x0280, ' ');
  CHECK(refusal_of(raw_file(header, "1")).empty());
  header.resize(0x8b1f, ' ');
  CHECK(refusal_of(raw_file(header, "1")).empty());
}

TEST_CASE("JSON that is none is refused with line and character") {
  const std::vector<std::pair<std::string, std::string>> rows{
      {"", "f.json: found an empty file, expected a map of keys"},
      {" \n\t\n", "f.json: found an empty file, expected a map of keys"},
      {"[]", "f.json: found array, expected a map of keys"},
      {"3", "f.json: found number, expected a map of keys"},
      {"{\"a\": 1", "f.json:1: found malformed JSON at character 8 (it ends there), expected valid JSON"},
      {"{\"a\": [1,\n 2", "f.json:2: found malformed JSON at character 3 (it ends there), expected valid JSON"},
      {"{\n\"a\": 1,\n}", "f.json:3: found malformed JSON at character 1, expected valid JSON"},
      {"{\"a\": 12abc}", "f.json:1: found malformed JSON at character 9, expected valid JSON"},
      {"{\"a\": 0x10}", "f.json:1: found malformed JSON at character 8, expected valid JSON"},
      {"{\"a\":\n 1e999}",
       "f.json:2: found 1e999, a number that no double holds, at character 2, expected valid JSON"},
      {"{\"a\":\n\n -1e999, \"b\": 2}", "f.json:3: found -1e999, a number that no double holds"},
      {"{\"a\": NaN}", "f.json:1: found malformed JSON at character 7, expected valid JSON"},
      {"{'a': 1}", "f.json:1: found malformed JSON at character 2, expected valid JSON"},
      {"{\"a\": 1} x", "f.json:1: found malformed JSON at character 10, expected valid JSON"},
      {"{\"a\": \"\xff\"}",
       "f.json:1: found malformed JSON at character 8 (a byte that is not UTF-8), expected valid JSON"},
      {"{\"a\": True}", "f.json:1: found malformed JSON at character 7, expected valid JSON"},
      {"{\"a\": 1, \"a\": 1}", "f.json: a: found the key twice, expected each key once"}};
  for (const auto& [text, expected] : rows) {
    INFO(text);
    TemporaryFolder folder;
    write_file_atomic(folder.path() / "f.json", text);
    const auto message = message_of([&] { parse_json_map(folder.path() / "f.json"); });
    CHECK_THAT(message, ContainsSubstring((folder.path() / expected).string()));
    check_own_words(message);
  }
}

TEST_CASE("ids of tokens are whole numbers that a vocabulary can have, or are refused with file and key") {
  const auto ids_of = [](const std::string& config, const std::string& generation) {
    TemporaryFolder folder;
    write_model(folder.path());
    write_file_atomic(folder.path() / "config.json", config);
    if (!generation.empty()) write_file_atomic(folder.path() / "generation_config.json", generation);
    const auto checkpoint = Checkpoint::open(folder.path());
    auto ids = end_ids(checkpoint);
    if (const auto begin = begin_id(checkpoint)) ids.insert(ids.begin(), *begin);
    return ids;
  };
  using Ids = std::vector<int64_t>;
  CHECK(ids_of(R"({"eos_token_id": 2, "bos_token_id": 1})", R"({"eos_token_id": [2, 7]})") == Ids{1, 2, 7});
  CHECK(ids_of(R"({"eos_token_id": null, "bos_token_id": null})", "").empty());
  for (const char* id : {"-1", "2.0", "2.5", "\"2\"", "true", "[[2]]", "18446744073709551615", "4294967296",
                         "1e3", "{}", "99999999999999999999999"}) {
    INFO(id);
    const std::string eos = std::string("{\"eos_token_id\": ") + id + "}";
    CHECK_THAT(message_of([&] { ids_of(eos, ""); }), ContainsSubstring("/config.json: eos_token_id: found ") &&
                                                         ContainsSubstring("expected a token id or a list"));
    CHECK_THAT(message_of([&] { ids_of("{}", eos); }),
               ContainsSubstring("/generation_config.json: eos_token_id: found "));
    const std::string bos = std::string("{\"bos_token_id\": ") + id + "}";
    CHECK_THAT(message_of([&] { ids_of(bos, ""); }), ContainsSubstring("/config.json: bos_token_id: found ") &&
                                                         ContainsSubstring("expected a token id, or null"));
  }
  CHECK_THAT(message_of([&] { ids_of(R"({"bos_token_id": [1]})", ""); }), ContainsSubstring("a JSON array"));
}

TEST_CASE("the nearest name is a slip of the pen: few characters, and no other layer") {
  const std::vector<std::string> names{"model.layers.0.self_attn.q_proj.weight",
                                       "model.layers.1.mlp.up_proj.weight", "model.norm.weight"};
  CHECK(nearest_printable("model.layers.0.self_attn.q_prj.weight", names) == names[0]);
  CHECK(nearest_printable("model.norm.wieght", names) == names[2]);
  CHECK(nearest_printable("model.layers.2.mlp.up_proj.weight", names).empty());
  CHECK(nearest_printable("model.layers.0.self_attn.k_scale", names).empty());
  CHECK(nearest_printable("model.layers.0.self_attn.q_norm.weight", names) == names[0]);  // 4 characters
  CHECK(nearest_printable("mla_v3", {"mla_v2", "gqa"}) == "mla_v2");  // a name's own digits are no layer's
}

TEST_CASE("files that another reader would take are noted") {
  TemporaryFolder folder;
  write_model(folder.path());
  CHECK(Checkpoint::open(folder.path()).notes().empty());
  write_file_atomic(folder.path() / "model.safetensors.index.json", "{}");
  CHECK_THAT(Checkpoint::open(folder.path()).notes().at(0),
             ContainsSubstring("model.safetensors is read; model.safetensors.index.json beside it is not"));
  write_file_atomic(folder.path() / "adapter_config.json", "{}");
  const auto checkpoint = Checkpoint::open(folder.path());
  CHECK_THAT(checkpoint.notes().at(1), ContainsSubstring("the adapter of adapter_config.json is not applied"));
  checkpoint.note("once");
  checkpoint.note("once");
  CHECK(checkpoint.notes().size() == 3);
}

TEST_CASE("a number beyond float16 is refused where it would become infinite") {
  TemporaryFolder folder;
  const auto large = torch::tensor({1.0F, -70000.0F}), infinite = torch::tensor({1.0F, INFINITY});
  write_checkpoint(folder.path(), nlohmann::ordered_json::object(),
                   {{"large", large.to(torch::kBFloat16)}, {"fits", large / 2}, {"infinite", infinite}});
  const auto checkpoint = Checkpoint::open(folder.path());
  CHECK(checkpoint.tensor_as("fits", torch::kHalf)[1].item<double>() == -35008);  // the nearest of float16
  CHECK(checkpoint.tensor_as("large", torch::kFloat32)[1].item<double>() < -65504);
  CHECK(std::isinf(checkpoint.tensor_as("infinite", torch::kHalf)[1].item<double>()));  // as the file has it
  CHECK_THAT(message_of([&] { checkpoint.tensor_as("large", torch::kHalf); }),
             ContainsSubstring("model.safetensors: large: found -70144, expected numbers within float16's"));
}

TEST_CASE("tensors are the same by their numbers, whatever their element types") {
  TemporaryFolder folder;
  const auto a = torch::tensor({1.0F, -2.5F, 0.0F}), b = torch::tensor({1.0F, -2.5F, 1e-30F});
  const auto nan = torch::full({3}, std::nan(""));
  write_checkpoint(folder.path(), nlohmann::ordered_json::object(),
                   {{"a", a},
                    {"half", a.to(torch::kHalf)},
                    {"b", b},
                    {"nan", nan},
                    {"nan2", nan.clone()},
                    {"column", a.reshape({3, 1})},
                    {"none", torch::ones({0, 3})}});
  const auto checkpoint = Checkpoint::open(folder.path());
  CHECK(checkpoint.same_numbers("a", "half"));
  CHECK(checkpoint.same_numbers("a", "a"));
  CHECK_FALSE(checkpoint.same_numbers("a", "b"));
  CHECK_FALSE(checkpoint.same_numbers("half", "b"));
  CHECK(checkpoint.same_numbers("nan", "nan2"));
  CHECK_FALSE(checkpoint.same_numbers("a", "column"));
  CHECK_FALSE(checkpoint.same_numbers("a", "none"));
  CHECK_FALSE(checkpoint.same_numbers("a", "b"));  // as before, from memory
}
