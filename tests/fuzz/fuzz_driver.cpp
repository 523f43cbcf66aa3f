// Runs a fuzz target without libFuzzer: all seeds, then a number of mutations of them that depends on nothing
// but the command line. Usage: fuzz_TARGET SEED_FOLDER DICTIONARY ROUNDS, or fuzz_TARGET FILE…
// An input that ends the program is left in the working folder.
#include <fmt/format.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "core/files.h"
#include "core/numbers.h"
#include "core/random.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
// Of the address sanitizer, where the program has it.
extern "C" __attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)());

namespace attnlab {
namespace {

// Whatever the file holds: read_file refuses a pointer of git-lfs, which is a seed here.
std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

namespace fs = std::filesystem;
using Strings = std::vector<std::string>;

constexpr unsigned kSecondsPerInput = 30;    // the slowest seed takes far below one
constexpr int64_t kMostKilobytes = 1 << 20;  // growth of the resident memory over the seeds'
constexpr size_t kLongestInput = 64 << 10;

std::string current;  // what the target has in hand

void save_current() {
  std::ofstream("fuzz-finding", std::ios::binary) << current;
  constexpr char note[] = "The input is in fuzz-finding\n";
  (void)!::write(STDERR_FILENO, note, sizeof note - 1);
}

void on_signal(int signal) {
  save_current();
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

void watch() {
  for (const int signal : {SIGABRT, SIGALRM}) ::signal(signal, on_signal);
  if (__sanitizer_set_death_callback) {
    __sanitizer_set_death_callback(save_current);
  } else {
    for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) ::signal(signal, on_signal);
  }
}

int64_t peak_kilobytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

void run_input(std::string input) {
  current = std::move(input);
  ::alarm(kSecondsPerInput);
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(current.data()), current.size());
  ::alarm(0);
}

// Lines NAME="TEXT" or "TEXT" with \xNN, \\ and \" in them, as libFuzzer's dictionaries have them.
Strings read_dictionary(const fs::path& path) {
  Strings tokens;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    const size_t begin = line.find('"'), end = line.rfind('"');
    if (line.starts_with('#') || begin == end) continue;
    std::string token;
    for (size_t i = begin + 1; i < end; ++i) {
      if (line[i] == '\\' && line[i + 1] == 'x') {
        token += static_cast<char>(parse_number<int>(line.substr(i + 2, 2), 16).value_or(0));
        i += 3;
      } else {
        token += line[i] == '\\' ? line[++i] : line[i];
      }
    }
    tokens.push_back(token);
  }
  return tokens;
}

size_t place_in(const std::string& text, Random& random) {
  return static_cast<size_t>(random.between(0, static_cast<int64_t>(text.size())));
}

std::string part_of(const std::string& text, Random& random) {
  const size_t begin = place_in(text, random);
  return text.substr(begin, static_cast<size_t>(random.between(0, 64)));
}

// One edit: a byte, a token, a number, a part of another seed, or a part removed or doubled.
void mutate(std::string& text, const Strings& seeds, const Strings& tokens, Random& random) {
  const size_t place = place_in(text, random);
  switch (random.between(0, 7)) {
    case 0:
      if (place < text.size()) text[place] = static_cast<char>(random.between(0, 255));
      break;
    case 1:
      if (place < text.size()) text[place] = static_cast<char>(text[place] ^ (1 << random.between(0, 7)));
      break;
    case 2:
      text.insert(place, random.pick(tokens));
      break;
    case 3:
      text.replace(place, static_cast<size_t>(random.between(0, 8)), random.pick(tokens));
      break;
    case 4:
      text.insert(place, std::to_string(static_cast<int64_t>(random.next() >> random.between(0, 63))));
      break;
    case 5:
      text.erase(place, static_cast<size_t>(random.between(1, 32)));
      break;
    case 6:
      text.insert(place, part_of(text, random));
      break;
    default:
      text.replace(place, static_cast<size_t>(random.between(0, 64)), part_of(random.pick(seeds), random));
  }
  if (text.size() > kLongestInput) text.resize(kLongestInput);
}

int run_seeds(const fs::path& folder, const fs::path& dictionary, int64_t rounds) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());  // a folder lists them in any order
  Strings seeds;
  for (const auto& file : files) seeds.push_back(bytes_of(file));
  const Strings tokens = read_dictionary(dictionary);
  if (seeds.empty() || tokens.empty()) return fmt::print(stderr, "no seeds or no dictionary\n"), 2;
  for (const auto& seed : seeds) run_input(seed);
  const int64_t before = peak_kilobytes();
  for (int64_t round = 0; round < rounds; ++round) {
    Random random(20250101, static_cast<uint64_t>(round));
    std::string input = random.pick(seeds);
    for (int64_t edits = random.between(1, 6); edits > 0; --edits) mutate(input, seeds, tokens, random);
    run_input(std::move(input));
    if (peak_kilobytes() - before > kMostKilobytes) {
      save_current();
      return fmt::print(stderr, "an input made the program grow by over 1 GB\n"), 1;
    }
  }
  fmt::print("{} seeds, {} mutations\n", seeds.size(), rounds);
  return 0;
}

}  // namespace
}  // namespace attnlab

int main(int argc, char** argv) {
  using namespace attnlab;
  watch();
  if (argc == 4 && std::filesystem::is_directory(argv[1]))
    return run_seeds(argv[1], argv[2], std::stoll(argv[3]));
  for (int i = 1; i < argc; ++i) run_input(bytes_of(argv[i]));
  return 0;
}
