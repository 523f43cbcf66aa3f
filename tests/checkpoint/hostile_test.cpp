// Damaged files: each must load or be refused with InputError. A crash, another exception or a read outside the
// mapping (under the sanitizers) fails.
#include "core/random.h"
#include "raw_file.h"

using namespace attnlab;
using namespace attnlab::test;

namespace {

std::string sample_bytes() {
  TemporaryFolder folder;
  write_safetensors(folder.path() / "a",
                    {{"layers.0.weight", torch::arange(6, torch::kFloat32).reshape({2, 3})},
                     {"layers.0.bias", torch::ones(3, torch::kBFloat16)},
                     {"mask", torch::ones({2, 2}, torch::kBool)},
                     {"empty", torch::empty({0, 4})},
                     {"step", torch::tensor(7)}},
                    {{"format", "pt"}});
  return read_file(folder.path() / "a");
}

}  // namespace

TEST_CASE("a file truncated anywhere is refused") {
  const std::string bytes = sample_bytes();
  REQUIRE(refusal_of(bytes).empty());
  for (size_t size = 0; size < bytes.size(); ++size) {
    INFO(size << " of " << bytes.size() << " bytes");
    CHECK(refusal_of(bytes.substr(0, size)) != "");
  }
  CHECK(refusal_of(bytes + "x") != "");
}

TEST_CASE("a header with flipped bytes loads or is refused") {
  const std::string bytes = sample_bytes();
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), 8);
  Random random(20240607);
  int refused = 0;
  constexpr int kRounds = 3000;
  for (int round = 0; round < kRounds; ++round) {
    std::string damaged = bytes;
    for (int64_t flips = random.between(1, 4); flips > 0; --flips) {
      const auto place = static_cast<size_t>(random.between(0, static_cast<int64_t>(7 + header)));
      damaged[place] = static_cast<char>(random.between(0, 255));
    }
    refused += refusal_of(damaged).empty() ? 0 : 1;
  }
  // Only bytes inside names, metadata or the padding can change without harm: most files must be refused.
  CHECK(refused > kRounds / 2);
}

TEST_CASE("a header with digits, brackets and names exchanged loads or is refused") {
  const std::string bytes = sample_bytes();
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), 8);
  const std::string alphabet = "0123456789-.eE[]{},:\"\\ FBIU";
  Random random(7);
  int refused = 0;
  constexpr int kRounds = 3000;
  for (int round = 0; round < kRounds; ++round) {
    std::string text = bytes.substr(8, header);
    for (int64_t edits = random.between(1, 3); edits > 0; --edits) {
      const auto place = static_cast<size_t>(random.between(1, static_cast<int64_t>(text.size()) - 1));
      const char letter = random.pick(alphabet);
      if (random.between(0, 1) == 0) {
        text[place] = letter;
      } else {
        text.insert(place, 1, letter);
      }
    }
    refused += refusal_of(raw_file(text, bytes.substr(8 + header))).empty() ? 0 : 1;
  }
  CHECK(refused > kRounds / 2);
}
