// CheckpointWriter: shards, names, bytes, and what a folder holds after a write that went wrong.
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "checkpoint/checkpoint.h"
#include "checkpoint/checkpoint_writer.h"
#include "raw_file.h"

using namespace attnlab;
using namespace attnlab::test;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

// 36 + 6 + 10 + 24 bytes, with a NaN that is not the usual one and a denormal.
TensorList mixed_model(float scale = 1) {
  auto odd = torch::arange(5, torch::kFloat16) * scale;
  odd.view(torch::kInt16)[1] = 0x7E01;
  odd.view(torch::kInt16)[2] = 1;
  return {{"a.weight", torch::arange(9, torch::kFloat32).reshape({3, 3}) * scale},
          {"b.weight", torch::full({3}, -2.5 * scale, torch::kBFloat16)},
          {"c.weight", odd},
          {"ids", torch::tensor({int64_t{1} << 62, int64_t{-1}, int64_t{0}})}};
}

std::map<std::string, std::string> files_of(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(folder))
    files[entry.path().filename().string()] = entry.is_regular_file() ? read_file(entry.path()) : "";
  return files;
}

std::vector<std::string> names_of(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& [name, bytes] : files_of(folder)) names.push_back(name);
  return names;
}

TensorList tensors_of(const Checkpoint& checkpoint) {
  TensorList tensors;
  for (const auto& name : checkpoint.names()) tensors[name] = checkpoint.tensor(name);
  return tensors;
}

void check_holds(const fs::path& folder, const json& config, const TensorList& tensors) {
  const auto checkpoint = Checkpoint::open(folder);
  CHECK(checkpoint.config() == config);
  REQUIRE(checkpoint.names().size() == tensors.size());
  for (const auto& [name, tensor] : tensors) {
    INFO(name);
    check_same_tensor(checkpoint.tensor(name), tensor);
  }
}

}  // namespace

TEST_CASE("tensors fill shards of Hugging Face's names, which the index lists in order") {
  TemporaryFolder folder;
  write_checkpoint(folder.path(), {{"v", 1}}, mixed_model(), 42);  // 36 + 6, 10 + 24
  CHECK(names_of(folder.path()) == std::vector<std::string>{"config.json", "model-00001-of-00002.safetensors",
                                                            "model-00002-of-00002.safetensors",
                                                            "model.safetensors.index.json"});
  CHECK(read_file(folder.path() / "model.safetensors.index.json") == R"({
  "metadata": {
    "total_parameters": 20,
    "total_size": 76
  },
  "weight_map": {
    "a.weight": "model-00001-of-00002.safetensors",
    "b.weight": "model-00001-of-00002.safetensors",
    "c.weight": "model-00002-of-00002.safetensors",
    "ids": "model-00002-of-00002.safetensors"
  }
}
)");
  const auto shard = SafetensorsFile::open(folder.path() / "model-00002-of-00002.safetensors");
  CHECK(shard.metadata() == std::map<std::string, std::string>{{"format", "pt"}});
  check_holds(folder.path(), {{"v", 1}}, mixed_model());
}

TEST_CASE("a shard holds as much as fits, and a larger tensor has its own") {
  TemporaryFolder folder;
  const auto shards = [&](uint64_t most) {
    write_checkpoint(folder.path(), json::object(), mixed_model(), most);
    check_holds(folder.path(), json::object(), mixed_model());
    return names_of(folder.path()).size() - 2;  // config.json and the index
  };
  CHECK(shards(75) == 2);
  CHECK(shards(41) == 2);
  CHECK(shards(20) == 3);
  CHECK(shards(1) == 4);
  write_checkpoint(folder.path(), json::object(), mixed_model(), 76);
  CHECK(names_of(folder.path()) == std::vector<std::string>{"config.json", "model.safetensors"});
}

TEST_CASE("one file holds the bytes that write_safetensors gives, in whatever order tensors were added") {
  TemporaryFolder folder;
  const auto model = mixed_model();
  CheckpointWriter writer(folder.path() / "deep" / "model");
  for (auto item = model.rbegin(); item != model.rend(); ++item) writer.add(item->first, item->second);
  CHECK(names_of(folder.path() / "deep" / "model").empty());  // what it has lies in a file without a name
  writer.finish({{"v", 1}});
  write_safetensors(folder.path() / "x", model, {{"format", "pt"}});
  CHECK(read_file(folder.path() / "deep/model/model.safetensors") == read_file(folder.path() / "x"));
}

TEST_CASE("what is added is what a tensor holds at that moment, in row-major order") {
  TemporaryFolder folder;
  auto x = torch::arange(6, torch::kFloat32).reshape({2, 3});
  CheckpointWriter writer(folder.path());
  writer.add("x", x.t());
  x.zero_();
  writer.finish(json::object());
  check_holds(folder.path(), json::object(),
              {{"x", torch::arange(6, torch::kFloat32).reshape({2, 3}).t().contiguous()}});
}

TEST_CASE("a checkpoint without tensors comes back") {
  TemporaryFolder folder;
  CheckpointWriter(folder.path()).finish({{"v", 1}});
  check_holds(folder.path(), {{"v", 1}}, {});
}

TEST_CASE("single to sharded to single keeps every bit, and a second write every byte") {
  TemporaryFolder folder;
  const auto one = folder.path() / "one", many = folder.path() / "many", again = folder.path() / "again";
  write_checkpoint(one, {{"v", 1}}, mixed_model());
  write_checkpoint(many, {{"v", 1}}, tensors_of(Checkpoint::open(one)), 20);
  write_checkpoint(again, {{"v", 1}}, tensors_of(Checkpoint::open(many)));
  check_holds(many, {{"v", 1}}, mixed_model());
  CHECK(files_of(again) == files_of(one));

  const auto before = files_of(many);
  write_checkpoint(many, {{"v", 1}}, tensors_of(Checkpoint::open(many)), 20);  // over the files it is read from
  CHECK(files_of(many) == before);
}

TEST_CASE("a write leaves nothing of an earlier one in another form, and the other files") {
  TemporaryFolder folder;
  write_file_atomic(folder.path() / "tokenizer.json", "{}");
  write_file_atomic(folder.path() / "model-old.safetensors", "not ours");
  for (const uint64_t most : {1, 1000, 40, 1000, 1}) {
    write_checkpoint(folder.path(), {{"shard", most}}, mixed_model(static_cast<float>(most)), most);
    check_holds(folder.path(), {{"shard", most}}, mixed_model(static_cast<float>(most)));
    const auto files = files_of(folder.path());
    CHECK(files.size() == (most == 1000 ? 4 : most == 40 ? 6 : 8));
    CHECK(files.at("model-old.safetensors") == "not ours");
  }
}

TEST_CASE("what a writer can't take is refused, and the rest goes on") {
  TemporaryFolder folder;
  CHECK_THROWS_WITH(CheckpointWriter(folder.path(), {.max_shard_bytes = 0}),
                    ContainsSubstring("max_shard_bytes: found 0"));
  CheckpointWriter writer(folder.path(), {.max_shard_bytes = 8});
  writer.add("x", torch::ones(2));
  writer.add("y", torch::ones(2));
  CHECK_THROWS_WITH(writer.add("x", torch::ones(3)), ContainsSubstring("x: found a second tensor"));
  CHECK_THROWS_WITH(writer.add("z", torch::ones(3, torch::kComplexFloat)), ContainsSubstring("ComplexFloat"));
  CHECK_THROWS_WITH(writer.add("__metadata__", torch::ones(3)), ContainsSubstring("not reserved"));
  CHECK_THROWS_WITH(writer.add("\xFF", torch::ones(3)), ContainsSubstring("not UTF-8"));
  writer.finish(json::object());
  check_holds(folder.path(), json::object(), {{"x", torch::ones(2)}, {"y", torch::ones(2)}});
}

TEST_CASE("a writer that is not finished leaves the old checkpoint and no temporary file") {
  TemporaryFolder folder;
  write_checkpoint(folder.path() / "old", {{"v", 1}}, mixed_model(), 20);
  const auto before = files_of(folder.path() / "old");
  for (const char* name : {"old", "new"}) {
    CheckpointWriter writer(folder.path() / name, {.max_shard_bytes = 1});
    for (const auto& [key, tensor] : mixed_model(2)) writer.add(key, tensor);
    CHECK(names_of(folder.path() / name).size() > 2);  // whole shards without their names
  }
  CHECK(files_of(folder.path() / "old") == before);
  CHECK_FALSE(fs::exists(folder.path() / "new"));
}

TEST_CASE("a folder that stops a write halfway can't be opened, and says why") {
  TemporaryFolder folder;
  write_checkpoint(folder.path(), {{"v", 1}}, mixed_model());
  fs::create_directories(folder.path() / "model-00002-of-00003.safetensors" / "x");  // can't be removed
  CHECK_THROWS_AS(write_checkpoint(folder.path(), {{"v", 1}}, mixed_model(2), 40), RunError);
  CHECK_THROWS_WITH(Checkpoint::open(folder.path()), ContainsSubstring("no config.json"));
  for (const auto& name : names_of(folder.path())) CHECK_FALSE(name.ends_with(".tmp"));
  fs::remove_all(folder.path() / "model-00002-of-00003.safetensors");
  write_checkpoint(folder.path(), {{"v", 1}}, mixed_model(2), 40);
  check_holds(folder.path(), {{"v", 1}}, mixed_model(2));
}

TEST_CASE("a file in the place of the folder is a run error") {
  TemporaryFolder folder;
  write_file_atomic(folder.path() / "x", "");
  CHECK_THROWS_AS(CheckpointWriter(folder.path() / "x"), RunError);
}

namespace {

// In a child, whose disk is full at that size of any file: its exit code, 0 if all went well.
int in_child(rlim_t most_bytes, const std::function<void()>& work) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);  // a write past the limit then fails with EFBIG
    const rlimit limit{.rlim_cur = most_bytes, .rlim_max = RLIM_INFINITY};
    int code = ::setrlimit(RLIMIT_FSIZE, &limit) == 0 ? 0 : 2;
    try {
      work();
    } catch (const RunError&) {
      code = 1;
    }
    ::_exit(code);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

}  // namespace

TEST_CASE("a disk that is full at any byte leaves the old checkpoint as it was") {
  TemporaryFolder folder;
  const auto write = [&](float scale, uint64_t most) {
    write_checkpoint(folder.path(), {{"scale", scale}}, mixed_model(scale), most);
  };
  for (const uint64_t shard_bytes : {20, 1000}) {
    write(1, shard_bytes);
    const auto before = files_of(folder.path());
    int failures = 0, code = 1;
    for (rlim_t bytes = 0; code != 0; bytes += 3) {
      INFO("the disk was full at byte " << bytes);
      REQUIRE(bytes < 10'000);
      code = in_child(bytes, [&] { write(2, shard_bytes); });
      REQUIRE(code < 2);
      failures += code;
      if (code == 1) REQUIRE(files_of(folder.path()) == before);
    }
    CHECK(failures > 50);
    check_holds(folder.path(), {{"scale", 2}}, mixed_model(2));
  }
}

TEST_CASE("a killed writer leaves the old checkpoint, and the next one its temporary files") {
  TemporaryFolder folder;
  write_checkpoint(folder.path(), {{"v", 1}}, mixed_model());
  CHECK(in_child(RLIM_INFINITY, [&] {
          CheckpointWriter writer(folder.path(), {.max_shard_bytes = 1});
          for (const auto& [name, tensor] : mixed_model(2)) writer.add(name, tensor);
          ::_exit(7);  // no destructor runs
        }) == 7);
  CHECK(fs::exists(folder.path() / "model-00003.safetensors.tmp"));
  check_holds(folder.path(), {{"v", 1}}, mixed_model());
  write_checkpoint(folder.path(), {{"v", 3}}, mixed_model(3));
  CHECK(names_of(folder.path()) == std::vector<std::string>{"config.json", "model.safetensors"});
}

TEST_CASE("all reference checkpoints, rewritten in shards and as one file, keep every bit") {
  const auto root = shared_dir() / "fixtures/hf";
  if (!fs::exists(root)) SKIP_TEST("no reference checkpoints beside the checkout");
  int rewritten = 0;
  for (const auto& entry : fs::directory_iterator(root)) {
    if (!entry.is_directory()) continue;
    INFO(entry.path());
    const auto source = Checkpoint::open(entry.path());
    TemporaryFolder folder;
    for (const uint64_t most : {uint64_t{50'000}, kShardBytes}) {
      write_checkpoint(folder.path(), source.config(), tensors_of(source), most);
      check_holds(folder.path(), source.config(), tensors_of(source));
      ++rewritten;
    }
    CHECK(names_of(folder.path()).size() == 2);
  }
  CHECK(rewritten > 10);
}
