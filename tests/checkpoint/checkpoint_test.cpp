#include "checkpoint/checkpoint.h"

#include <functional>
#include <nlohmann/json.hpp>

#include "raw_file.h"

using namespace attnlab;
using namespace attnlab::test;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

TensorList small_model() {
  return {{"model.embed_tokens.weight", torch::arange(12, torch::kFloat32).reshape({4, 3})},
          {"model.norm.weight", torch::ones(3, torch::kBFloat16)}};
}

// Two shards and their index; `change` may spoil the index.
void write_shards(
    const fs::path& folder, const std::function<void(json&)>& change = [](json&) {}) {
  const auto model = small_model();
  write_file_atomic(folder / "config.json", "{}");
  write_safetensors(folder / "m-1.safetensors", {*model.begin()});
  write_safetensors(folder / "m-2.safetensors", {*std::next(model.begin())});
  json index{{"weight_map",
              {{"model.embed_tokens.weight", "m-1.safetensors"}, {"model.norm.weight", "m-2.safetensors"}}}};
  change(index);
  write_file_atomic(folder / "model.safetensors.index.json", index.dump());
}

void check_index_refused(const std::function<void(json&)>& change, const std::string& text) {
  TemporaryFolder folder;
  write_shards(folder.path(), change);
  CHECK_THROWS_AS(Checkpoint::open(folder.path()), InputError);
  CHECK_THROWS_WITH(Checkpoint::open(folder.path()),
                    ContainsSubstring("model.safetensors.index.json: weight_map") && ContainsSubstring(text));
}

// What the index and its shards disagree on, with the tensor's name in front.
std::vector<std::string> faults_of(const fs::path& folder) {
  std::vector<std::string> faults;
  const auto checkpoint = Checkpoint::open(folder);
  for (const auto& [tensor, problem] : checkpoint.index_faults())
    faults.push_back(tensor + " | " + describe(problem));
  return faults;
}

}  // namespace

TEST_CASE("a checkpoint comes back with its config in order and its tensors") {
  TemporaryFolder folder;
  const auto model = small_model();
  write_checkpoint(folder.path(), {{"z", 1}, {"a", {{"b", 0.5}}}}, model);
  CHECK(read_file(folder.path() / "config.json").find("\"z\"") <
        read_file(folder.path() / "config.json").find("\"a\""));

  const auto checkpoint = Checkpoint::open(folder.path());
  CHECK(checkpoint.config() == json{{"z", 1}, {"a", {{"b", 0.5}}}});
  CHECK(checkpoint.folder() == folder.path());
  REQUIRE(checkpoint.names() == std::vector<std::string>{"model.embed_tokens.weight", "model.norm.weight"});
  for (const auto& [name, tensor] : model) check_same_tensor(checkpoint.tensor(name), tensor);
  CHECK(checkpoint.shape("model.embed_tokens.weight") == std::vector<int64_t>{4, 3});
  CHECK(checkpoint.dtype("model.norm.weight") == torch::kBFloat16);
  CHECK(checkpoint.weights_sha256() == sha256_file(folder.path() / "model.safetensors"));
  CHECK(SafetensorsFile::open(folder.path() / "model.safetensors").metadata().at("format") == "pt");
}

TEST_CASE("a tensor that the checkpoint lacks is refused with the nearest name") {
  TemporaryFolder folder;
  write_checkpoint(folder.path(), json::object(), small_model());
  const auto checkpoint = Checkpoint::open(folder.path());
  CHECK_FALSE(checkpoint.has("model.norm.wieght"));
  CHECK_THROWS_WITH(checkpoint.tensor("model.norm.wieght"),
                    ContainsSubstring("did you mean 'model.norm.weight'?"));
}

TEST_CASE("rewriting a checkpoint that fails leaves the old one") {
  TemporaryFolder folder;
  write_checkpoint(folder.path(), {{"v", 1}}, small_model());
  fs::create_directory(folder.path() / "config.json.tmp");  // the config can't be written
  CHECK_THROWS_AS(write_checkpoint(folder.path(), {{"v", 2}}, {{"x", torch::ones(3)}}), RunError);
  CHECK(Checkpoint::open(folder.path()).config() == json{{"v", 1}});
  CHECK(Checkpoint::open(folder.path()).names().size() == 2);
}

TEST_CASE("the generation config is read where it is there") {
  TemporaryFolder folder;
  write_checkpoint(folder.path(), json::object(), small_model());
  const auto checkpoint = Checkpoint::open(folder.path());
  CHECK(checkpoint.generation_config().is_null());
  write_file_atomic(folder.path() / "generation_config.json", R"({"eos_token_id": [1, 2]})");
  CHECK(checkpoint.generation_config() == json{{"eos_token_id", {1, 2}}});
  write_file_atomic(folder.path() / "generation_config.json", "[]");
  CHECK_THROWS_WITH(checkpoint.generation_config(), ContainsSubstring("generation_config.json: found array"));
}

TEST_CASE("shards are read as one checkpoint, whose hash covers each of them") {
  TemporaryFolder folder;
  write_shards(folder.path());
  const auto checkpoint = Checkpoint::open(folder.path());
  REQUIRE(checkpoint.names().size() == 2);
  for (const auto& [name, tensor] : small_model()) check_same_tensor(checkpoint.tensor(name), tensor);
  const std::string before = checkpoint.weights_sha256();
  CHECK(before.size() == 64);
  CHECK(Checkpoint::open(folder.path()).weights_sha256() == before);
  write_safetensors(folder.path() / "m-2.safetensors", {{"model.norm.weight", torch::zeros(3)}});
  CHECK(Checkpoint::open(folder.path()).weights_sha256() != before);
}

TEST_CASE("a folder that lacks a part says which") {
  TemporaryFolder folder;
  const auto open = [&] { return Checkpoint::open(folder.path()); };
  CHECK_THROWS_WITH(Checkpoint::open(folder.path() / "none"), ContainsSubstring("none: found nothing there"));
  std::filesystem::create_directory(folder.path() / "base_small");
  CHECK_THROWS_WITH(Checkpoint::open(folder.path() / "base_smal"),
                    ContainsSubstring("(did you mean '" + (folder.path() / "base_small").string() + "'?)"));
  std::filesystem::remove(folder.path() / "base_small");
  CHECK_THROWS_WITH(open(), ContainsSubstring("no config.json"));
  write_file_atomic(folder.path() / "config.json", "{}");
  CHECK_THROWS_WITH(Checkpoint::open(folder.path() / "config.json"), ContainsSubstring("found a file"));
  CHECK_THROWS_WITH(open(), ContainsSubstring("found no weights, expected model.safetensors or"));
  write_file_atomic(folder.path() / "pytorch_model.bin", "");
  CHECK_THROWS_WITH(open(), ContainsSubstring("PyTorch's format (pytorch_model.bin)"));
  write_file_atomic(folder.path() / "model.safetensors", "123");
  CHECK_THROWS_WITH(open(), ContainsSubstring("model.safetensors: found a file of 3 bytes"));
}

TEST_CASE("a config.json that is no map, bad JSON or has a key twice is refused with its line") {
  TemporaryFolder folder;
  write_checkpoint(folder.path(), json::object(), small_model());
  const auto message = [&](const std::string& config) {
    write_file_atomic(folder.path() / "config.json", config);
    try {
      Checkpoint::open(folder.path());
      return std::string();
    } catch (const InputError& error) {
      return std::string(error.what());
    }
  };
  CHECK(message("{\"a\": [1, 2]}").empty());
  CHECK_THAT(message("[]"), ContainsSubstring("config.json: found array, expected a map of keys"));
  CHECK_THAT(message("{\n\"a\": 1,\n}"), ContainsSubstring("config.json:3: found"));
  CHECK_THAT(message("{\"a\": {\"b\": 1, \"b\": 2}}"), ContainsSubstring(": a.b: found the key twice"));
  CHECK_THAT(message(std::string(100'000, '[')), ContainsSubstring("at most 64 levels"));
}

TEST_CASE("an index that its shards contradict is refused") {
  const auto norm = [](json& index) -> json& { return index["weight_map"]["model.norm.weight"]; };
  check_index_refused([](json& index) { index.erase("weight_map"); }, "found nothing");
  check_index_refused([](json& index) { index["weight_map"] = 3; }, "a JSON number");
  check_index_refused([&](json& index) { norm(index) = "m-3.safetensors"; }, "no m-3.safetensors");
  check_index_refused([&](json& index) { norm(index) = "../m-2.safetensors"; }, "a file in the same folder");
  check_index_refused([&](json& index) { norm(index) = 2; }, "a JSON number");
}

TEST_CASE("an index needs no metadata, and what its metadata says does not matter") {
  for (const json& metadata : {json(), json::object(), json{{"total_size", 1}}, json("x")}) {
    TemporaryFolder folder;
    write_shards(folder.path(), [&](json& index) { index["metadata"] = metadata; });
    CHECK(Checkpoint::open(folder.path()).names().size() == 2);
  }
}

TEST_CASE("a tensor that the index puts where it is not is a fault, and so is the place where it is") {
  TemporaryFolder folder;
  write_shards(folder.path(),
               [](json& index) { index["weight_map"]["model.norm.weight"] = "m-1.safetensors"; });
  const auto faults = faults_of(folder.path());
  REQUIRE(faults.size() == 1);
  CHECK_THAT(faults[0], ContainsSubstring("model.norm.weight | ") &&
                            ContainsSubstring("weight_map.model.norm.weight: found no such tensor in m-1"));
  CHECK_FALSE(Checkpoint::open(folder.path()).has("model.norm.weight"));  // no index leads to its file
}

TEST_CASE("a tensor that the index doesn't name, or that is in two shards, is a fault") {
  TemporaryFolder folder;
  auto model = small_model();
  write_shards(folder.path());
  const auto refused = [&](const std::string& text) {
    const auto faults = faults_of(folder.path());
    REQUIRE(faults.size() == 1);
    CHECK_THAT(faults[0], ContainsSubstring(text));
  };
  write_safetensors(folder.path() / "m-1.safetensors", model);
  refused("m-1.safetensors: model.norm.weight: found a tensor that is in m-2.safetensors too");
  model.erase("model.norm.weight");
  model["model.surplus"] = torch::ones(2);
  write_safetensors(folder.path() / "m-1.safetensors", model);
  refused("m-1.safetensors: model.surplus: found a tensor that model.safetensors.index.json doesn't name");
  CHECK(Checkpoint::open(folder.path()).tensor("model.surplus").numel() == 2);  // it can be looked at
  model.erase("model.surplus");
  write_safetensors(folder.path() / "m-1.safetensors", model);
  CHECK(faults_of(folder.path()).empty());
  CHECK(Checkpoint::open(folder.path()).names().size() == 2);
}

TEST_CASE("an index that names a tensor twice is refused") {
  TemporaryFolder folder;
  write_shards(folder.path());
  write_file_atomic(folder.path() / "model.safetensors.index.json",
                    R"({"weight_map": {"a": "m-1.safetensors", "a": "m-2.safetensors"}})");
  CHECK_THROWS_WITH(Checkpoint::open(folder.path()), ContainsSubstring("weight_map.a: found the key twice"));
}

TEST_CASE("names of megabytes are refused without a search for the nearest") {
  TemporaryFolder folder;
  const std::string a(1'000'000, 'a'), b = a.substr(1);
  write_file_atomic(folder.path() / "config.json", "{}");
  write_safetensors(folder.path() / "m-1.safetensors", {{a, torch::ones(1)}});
  write_file_atomic(folder.path() / "model.safetensors.index.json",
                    json{{"weight_map", {{b, "m-1.safetensors"}}}}.dump());
  REQUIRE(faults_of(folder.path()).size() == 2);
  CHECK_THAT(faults_of(folder.path())[0], ContainsSubstring("aaa...: found no such tensor"));
}

TEST_CASE("a JSON file of over 100 MB is refused before it is read") {
  TemporaryFolder folder;
  write_checkpoint(folder.path(), json::object(), small_model());
  fs::resize_file(folder.path() / "config.json", 100'000'001);  // a hole: it takes no room
  CHECK_THROWS_WITH(Checkpoint::open(folder.path()), ContainsSubstring("config.json: found 100000001 bytes"));
}

TEST_CASE("a damaged or empty shard is named, and a shard that no tensor needs is not opened") {
  TemporaryFolder folder;
  write_shards(folder.path());
  write_file_atomic(folder.path() / "m-3.safetensors", "");
  CHECK(Checkpoint::open(folder.path()).names().size() == 2);
  write_file_atomic(folder.path() / "m-2.safetensors", "");
  CHECK_THROWS_WITH(Checkpoint::open(folder.path()),
                    ContainsSubstring("m-2.safetensors: found a file of 0 bytes"));
}

TEST_CASE("a real sharded checkpoint rewritten as one file is the same, tensor for tensor") {
  const auto source = shared_dir() / "fixtures/hf/llama3_gqa_bf16_sharded";
  if (!fs::exists(source)) SKIP_TEST("no reference checkpoints beside the checkout");
  TemporaryFolder folder;
  const auto sharded = Checkpoint::open(source);
  TensorList tensors;
  for (const auto& name : sharded.names()) tensors[name] = sharded.tensor(name);
  REQUIRE(tensors.size() > 10);
  write_checkpoint(folder.path(), sharded.config(), tensors);
  const auto single = Checkpoint::open(folder.path());
  CHECK(single.config() == sharded.config());
  REQUIRE(single.names() == sharded.names());
  for (const auto& name : single.names()) check_same_tensor(single.tensor(name), sharded.tensor(name));
}

TEST_CASE("all reference checkpoints open, and every tensor has finite values") {
  const auto root = shared_dir() / "fixtures/hf";
  if (!fs::exists(root)) SKIP_TEST("no reference checkpoints beside the checkout");
  int opened = 0;
  for (const auto& entry : fs::directory_iterator(root)) {
    if (!entry.is_directory()) continue;
    INFO(entry.path());
    const auto checkpoint = Checkpoint::open(entry.path());
    ++opened;
    for (const auto& name : checkpoint.names())
      CHECK(torch::isfinite(checkpoint.tensor(name)).all().item<bool>());
  }
  CHECK(opened > 0);
}
