// bench_tokenizer: MB/s of encoding and decoding, one thread. scripts/bench_tokenizer.py sets it beside the
// tokenizers library.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "core/jsonl.h"
#include "program.h"
#include "text/tokenizer.h"

namespace {

using namespace attnlab;
using Clock = std::chrono::steady_clock;

struct Options {
  std::string tokenizer, in;
  int64_t rounds = 3;
};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::vector<std::string> read_documents(const std::string& path) {
  std::vector<std::string> documents;
  for_each_record(path, [&](const Record& record) { documents.push_back(document_of(record)); });
  return documents;
}

// A fresh tokenizer each round, so that no round finds the words of the one before in its cache. The shortest
// times count.
nlohmann::ordered_json measure(const Options& o) {
  const std::vector<std::string> documents = read_documents(o.in);
  double load = 1e9, encode = 1e9, decode = 1e9;
  size_t bytes = 0, tokens = 0;
  for (const std::string& document : documents) bytes += document.size();
  for (int64_t round = 0; round < o.rounds; ++round) {
    auto start = Clock::now();
    const Tokenizer tokenizer = Tokenizer::load(o.tokenizer);
    load = std::min(load, seconds_since(start));
    std::vector<std::vector<int64_t>> ids(documents.size());
    start = Clock::now();
    for (size_t i = 0; i < documents.size(); ++i) ids[i] = tokenizer.encode(documents[i]);
    encode = std::min(encode, seconds_since(start));
    size_t decoded = 0;
    start = Clock::now();
    for (const auto& document : ids) decoded += tokenizer.decode(document, false).size();
    decode = std::min(decode, seconds_since(start));
    tokens = 0;
    for (const auto& document : ids) tokens += document.size();
    ATTNLAB_CHECK(decoded > 0 || bytes == 0);
  }
  return {{"load_s", load}, {"encode_s", encode}, {"decode_s", decode}, {"bytes", bytes}, {"tokens", tokens}};
}

void bench(const Options& o) {
  require_given("--tokenizer", o.tokenizer, "a folder or file of a tokenizer");
  require_given("--in", o.in, "the file of documents");
  require_range("--rounds", o.rounds, 1);
  fmt::print("{}\n", measure(o).dump());
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  Program program({.name = "bench_tokenizer",
                   .usage = "--tokenizer DIR_OR_FILE --in FILE [--rounds N]",
                   .about =
                       "Encodes and decodes the documents of FILE ({\"text\": ...} a line) in one thread and "
                       "prints the\nshortest times as JSON. scripts/bench_tokenizer.py sets it beside the "
                       "tokenizers library.",
                   .example = "bench_tokenizer --tokenizer data/base_small --in documents.jsonl"});
  program.option("tokenizer", o.tokenizer, "DIR_OR_FILE", "the tokenizer (required)")
      .option("in", o.in, "FILE", "the documents (required)")
      .option("rounds", o.rounds, "N", "times that all is done, each with a fresh tokenizer");
  return program.run(argc, argv, [&] { bench(o); });
}
