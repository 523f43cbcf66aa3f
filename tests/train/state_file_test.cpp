#include "train/state_file.h"

#include <fstream>

#include "catch.h"
#include "core/errors.h"
#include "core/files.h"
#include "small_run.h"

namespace attnlab {
namespace {

namespace fs = std::filesystem;

TensorList numbers(float first) { return {{"a", torch::arange(6) + first}, {"b", torch::zeros({2, 3})}}; }

double first_of(const SafetensorsFile& file) { return file.tensor("a")[0].item<double>(); }

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

void flip(const fs::path& path, int64_t from_the_end) {
  std::string bytes = read_file(path);
  bytes[bytes.size() - static_cast<size_t>(from_the_end)] ^= 1;
  std::ofstream(path, std::ios::binary) << bytes;
}

void cut(const fs::path& path) { fs::resize_file(path, fs::file_size(path) - 3); }

TEST_CASE("the last states are kept, the newest under the run's own name") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "seed0.state.safetensors";
  CHECK_FALSE(find_state(path));
  for (int i = 1; i <= 4; ++i)
    write_state(path, numbers(static_cast<float>(i)), {{"step", std::to_string(i)}}, 3);
  CHECK(names_in(folder.path()) == std::vector<std::string>{"seed0.state.1.safetensors",
                                                            "seed0.state.2.safetensors",
                                                            "seed0.state.safetensors"});
  CHECK(first_of(open_state(path)) == 4);
  CHECK(open_state(path).metadata().at("step") == "4");
  CHECK(first_of(open_state(folder.path() / "seed0.state.1.safetensors")) == 3);
  CHECK(first_of(open_state(folder.path() / "seed0.state.2.safetensors")) == 2);
  std::ofstream(folder.path() / "seed0.state.new.safetensors") << "of a kill";
  std::ofstream(folder.path() / "seed1.state.safetensors") << "of another run";
  remove_states(path);
  CHECK(names_in(folder.path()) == std::vector<std::string>{"seed1.state.safetensors"});
}

TEST_CASE("a state that was cut or changed by a bit is refused, and its file named") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "seed0.state.safetensors";
  const auto refused = [&](const std::string& why) {
    CHECK_THROWS_WITH(find_state(path), ContainsSubstring(path.string() + ": found a damaged state (") &&
                                            ContainsSubstring(why) &&
                                            ContainsSubstring("delete it to start this run over"));
    CHECK(fs::exists(path));  // the user's to delete
  };
  write_state(path, numbers(1), {{"step", "17"}});
  const std::string whole = read_file(path);
  for (const int64_t from_the_end : {int64_t{1}, int64_t{30}}) {
    flip(path, from_the_end);
    refused("SHA-256");
    std::ofstream(path, std::ios::binary) << whole;
  }
  std::string bytes = whole;  // a text of the header
  bytes[bytes.find("17")] = '3';
  std::ofstream(path, std::ios::binary) << bytes;
  refused("SHA-256");
  std::ofstream(path, std::ios::binary) << whole;
  CHECK(find_state(path));
  cut(path);
  refused("bytes");
  std::ofstream(path) << "";
  refused("");
  write_safetensors(path, numbers(1));
  refused("without a SHA-256");
}

TEST_CASE("of several states the newest whole one is taken, and damaged newer ones are removed and named") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "seed0.state.safetensors";
  for (int i = 1; i <= 3; ++i) write_state(path, numbers(static_cast<float>(i)), {}, 3);
  cut(path);
  flip(folder.path() / "seed0.state.1.safetensors", 1);
  const auto found = find_state(path);
  REQUIRE(found);
  CHECK(first_of(found->file) == 1);
  REQUIRE(found->damaged.size() == 2);
  CHECK_THAT(found->damaged[0], ContainsSubstring("seed0.state.safetensors"));
  CHECK_THAT(found->damaged[1], ContainsSubstring("seed0.state.1.safetensors"));
  CHECK(names_in(folder.path()) == std::vector<std::string>{"seed0.state.2.safetensors"});
  // The next one does not push the only whole one out.
  write_state(path, numbers(4), {}, 3);
  CHECK(first_of(find_state(path)->file) == 4);
}

TEST_CASE("a kill while states move on leaves a gap that is looked past") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "seed0.state.safetensors";
  for (int i = 1; i <= 2; ++i) write_state(path, numbers(static_cast<float>(i)), {}, 2);
  fs::rename(path, folder.path() / "seed0.state.1.safetensors");
  CHECK(first_of(find_state(path)->file) == 2);
}

TEST_CASE("where all states are damaged, all are named") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "seed0.state.safetensors";
  for (int i = 1; i <= 2; ++i) write_state(path, numbers(1), {}, 2);
  cut(path);
  cut(folder.path() / "seed0.state.1.safetensors");
  CHECK_THROWS_WITH(find_state(path),
                    ContainsSubstring("2 damaged states") &&
                        ContainsSubstring("delete seed0.state.safetensors and seed0.state.1.safetensors"));
}

}  // namespace
}  // namespace attnlab
