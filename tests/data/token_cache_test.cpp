// Token files: made once, checked when opened, made anew when they are not good, by any number of processes.
#include "data/token_cache.h"

#include <sys/wait.h>
#include <unistd.h>

#include <set>

#include "byte_tokenizer.h"
#include "core/errors.h"
#include "core/random.h"
#include "data/token_store.h"
#include "memory_dataset.h"

using namespace attnlab;
namespace fs = std::filesystem;

namespace {

std::vector<Example> examples(int count = 200) {
  std::vector<Example> out;
  Random random(1);
  for (int i = 0; i < count; ++i)
    out.push_back({.prompt = std::to_string(i) + "?",
                   .answer = std::string(static_cast<size_t>(random.between(0, 90)), 'x')});
  out[3].parts = {{.text = "p", .learnt = true, .ends = true}, {.text = "q", .begins = true}};
  return out;
}

BatchConfig config() {
  return {.batch_size = 4, .sequence_length = 50, .bos_id = test::bos_id, .eos_id = test::eos_id, .pad_id = 0};
}

struct Fixture {
  test::TemporaryFolder folder;
  std::shared_ptr<const Dataset> data = std::make_shared<test::MemoryDataset>(examples());
  std::shared_ptr<const Tokenizer> tokenizer = test::byte_tokenizer();
  TokenCache cache{.folder = folder.path() / "tokens", .tokenizer_sha256 = "t", .worthwhile_bytes = 1};

  TokenStore open() const { return TokenStore(*data, data->size(), *tokenizer, config(), &cache); }
  std::vector<fs::path> files() const {
    std::vector<fs::path> found;
    if (!fs::exists(cache.folder)) return found;
    for (const auto& entry : fs::directory_iterator(cache.folder))
      if (entry.path().extension() != ".lock") found.push_back(entry.path());
    return found;
  }
};

std::vector<std::vector<StoredToken>> all(const TokenStore& store) {
  std::vector<std::vector<StoredToken>> out;
  for (int64_t i = 0; i < store.size(); ++i) {
    const auto tokens = store.tokens(i);
    out.emplace_back(tokens.begin(), tokens.end());
  }
  return out;
}

}  // namespace

TEST_CASE("batches are the same with a token file, from the one that made it and from the next, as without") {
  const Fixture f;
  for (const Packing packing : {Packing::none, Packing::stream, Packing::isolated}) {
    BatchConfig of = config();
    of.packing = packing;
    const BatchStream without(f.data, f.tokenizer, of, 3);
    for (int pass = 0; pass < 2; ++pass) {
      const BatchStream with(f.data, f.tokenizer, of, 3, BatchStream::lazy_above, &f.cache);
      CHECK(with.notes().empty());
      CHECK(with.truncated_examples() == without.truncated_examples());
      CHECK(with.truncated_tokens() == without.truncated_tokens());
      for (int64_t step = 0; step < 120; ++step) {
        const Batch a = with.batch(step), b = without.batch(step);
        REQUIRE(a.input_ids == b.input_ids);
        REQUIRE(a.targets == b.targets);
        REQUIRE(a.positions == b.positions);
      }
    }
  }
  CHECK(f.files().size() == 1);
}

TEST_CASE("a token file is made once and then mapped") {
  const Fixture f;
  CHECK(f.open().is_mapped());
  REQUIRE(f.files().size() == 1);
  const auto made = fs::last_write_time(f.files()[0]);
  const auto node = fs::file_size(f.files()[0]);
  const TokenStore again = f.open();
  CHECK(again.is_mapped());
  CHECK(again.notes().empty());
  CHECK(fs::last_write_time(f.files()[0]) == made);
  CHECK(fs::file_size(f.files()[0]) == node);
}

TEST_CASE("small data get no file") {
  Fixture f;
  f.cache.worthwhile_bytes = 1 << 20;
  CHECK_FALSE(f.open().is_mapped());
  CHECK(f.files().empty());
}

TEST_CASE("a torn or damaged token file is made anew, with a note that says why") {
  const Fixture f;
  const auto good = all(f.open());
  const auto path = f.files().at(0);
  const std::string bytes = read_file(path);
  const auto check = [&](const std::string& damaged, const std::string& why) {
    CAPTURE(why);
    write_file_atomic(path, damaged);
    const TokenStore store = f.open();
    REQUIRE(store.notes().size() == 1);
    CHECK_THAT(store.notes()[0], ContainsSubstring(path.string() + ": " + why + "; it is made anew"));
    CHECK(store.is_mapped());
    CHECK(all(store) == good);
    CHECK(read_file(path) == bytes);
    CHECK(f.open().notes().empty());
  };
  check("", "it is empty");
  check(bytes.substr(0, 50), "it is cut off");
  check(bytes.substr(0, bytes.size() / 2), "it is cut off");
  check(bytes.substr(0, bytes.size() - 1), "it is cut off");
  check(bytes + "x", "it is too long");
  for (const size_t at : {size_t{0}, size_t{9}, size_t{17}, size_t{40}, size_t{90}}) {
    std::string flipped = bytes;
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    check(flipped, "its header is damaged");
  }
  std::string flipped = bytes;
  flipped[bytes.size() / 2] = static_cast<char>(flipped[bytes.size() / 2] ^ 1);
  check(flipped, "its content is damaged");
}

TEST_CASE("every bit of a token file counts") {
  const Fixture f;
  f.open();
  const auto path = f.files().at(0);
  const std::string bytes = read_file(path);
  std::string problem;
  for (size_t at = 0; at < bytes.size(); at += 1 + bytes.size() / 500) {
    std::string flipped = bytes;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << at % 8));
    write_file_atomic(path, flipped);
    CAPTURE(at);
    problem.clear();
    CHECK_FALSE(TokenFile::open(path, bytes.substr(24, 64), problem));
    CHECK_FALSE(problem.empty());
  }
  write_file_atomic(path, bytes);
  CHECK(TokenFile::open(path, bytes.substr(24, 64), problem));
  CHECK_FALSE(TokenFile::open(path, std::string(64, '0'), problem));
  CHECK(problem == "it is of other data");
}

TEST_CASE("the key depends on every text, the tokenizer, bos and eos") {
  std::set<std::string> keys;
  int64_t bytes = 0;
  const auto add = [&](const std::vector<Example>& of, const std::string& tokenizer, std::optional<int64_t> bos,
                       std::optional<int64_t> eos) {
    const test::MemoryDataset data(of);
    keys.insert(token_key(data, data.size(), tokenizer, bos, eos, bytes));
  };
  auto data = examples();
  add(data, "t", 1, 2);
  add(data, "u", 1, 2);
  add(data, "t", 2, 1);
  add(data, "t", std::nullopt, 2);
  add(data, "t", 1, std::nullopt);
  data[199].answer += "y";
  add(data, "t", 1, 2);
  data[199].prompt += "y";
  add(data, "t", 1, 2);
  data[3].parts[0].learnt = false;
  add(data, "t", 1, 2);
  data[3].parts[1].text = "r";
  add(data, "t", 1, 2);
  data.pop_back();
  add(data, "t", 1, 2);
  CHECK(keys.size() == 10);
  add(data, "t", 1, 2);
  CHECK(keys.size() == 10);
}

TEST_CASE("a folder that cannot be written costs a note and nothing else") {
  Fixture f;
  const auto expected = all(f.open());
  write_file_atomic(f.folder.path() / "file", "");
  f.cache.folder = f.folder.path() / "file";
  const TokenStore store = f.open();
  CHECK_FALSE(store.is_mapped());
  REQUIRE(store.notes().size() == 1);
  CHECK_THAT(store.notes()[0], ContainsSubstring("tokens are kept in memory only"));
  CHECK(all(store) == expected);
}

TEST_CASE("processes that want the same tokens at once all get them, beside what a killed one left") {
  const Fixture f;
  const auto expected = all(TokenStore(*f.data, f.data->size(), *f.tokenizer, config()));
  int64_t bytes = 0;
  const auto key = token_key(*f.data, f.data->size(), "t", test::bos_id, test::eos_id, bytes);
  write_file_atomic(f.cache.folder / (key.substr(0, 32) + ".tokens.tmp"), "half a file");
  std::vector<pid_t> children;
  for (int i = 0; i < 6; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      const TokenStore store = f.open();
      ::_exit(store.is_mapped() && store.notes().empty() && all(store) == expected ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = -1;
    ::waitpid(child, &status, 0);
    CHECK(status == 0);
  }
  CHECK(f.files().size() == 1);
}
