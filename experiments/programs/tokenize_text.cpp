// tokenize_text: texts to token ids and back, one JSON object a line.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "core/files.h"
#include "core/gzip.h"
#include "core/interrupt.h"
#include "core/progress.h"
#include "program.h"
#include "text/tokenizer.h"

namespace {

using namespace attnlab;
using nlohmann::json;

struct Options {
  std::string tokenizer, in, out;
  bool special = false;
};

struct Counts {
  int64_t lines = 0, bytes = 0, tokens = 0;
};

// The member "text" of line `number`. Throws InputError with file, line and key.
std::string read_text(const Options& o, int64_t number, std::string_view line) {
  BadInput problem{.file = o.in, .line = number, .expected = "a JSON object {\"text\": \"...\"}"};
  const json object = json::parse(line, nullptr, false);
  if (!object.is_object()) {
    problem.found = object.is_discarded() ? "malformed JSON" : object.type_name();
    throw InputError(problem);
  }
  problem.key = "text";
  problem.expected = "a string";
  const auto text = object.find("text");
  if (text == object.end()) {
    std::vector<std::string> present;
    for (const auto& [name, unused] : object.items()) present.push_back(name);
    problem.found = "no such key";
    problem.nearest = nearest_name("text", present);
    throw InputError(problem);
  }
  problem.found = text->type_name();
  if (!text->is_string()) throw InputError(problem);
  return text->get<std::string>();
}

std::string make_line(const Tokenizer& tokenizer, const std::string& text, bool special, Counts& counts) {
  const std::vector<int64_t> ids = tokenizer.encode(text, special);
  ++counts.lines;
  counts.bytes += static_cast<int64_t>(text.size());
  counts.tokens += static_cast<int64_t>(ids.size());
  nlohmann::ordered_json line{{"ids", ids}, {"decoded", tokenizer.decode(ids, false)}};
  return line.dump() + '\n';
}

std::string summary(const Counts& counts) {
  return fmt::format("{} lines, {} bytes of text, {} tokens", counts.lines, counts.bytes, counts.tokens);
}

// All lines of the file, which is read whole and written whole.
std::string tokenize_lines(const Options& o, const Tokenizer& tokenizer, Counts& counts) {
  const std::string input = read_text_file(o.in);
  catch_interrupts();
  ProgressLine progress;
  std::string output;
  int64_t number = 0;
  for (size_t at = 0; at < input.size();) {
    const size_t end = std::min(input.find('\n', at), input.size());
    const std::string text = read_text(o, ++number, std::string_view(input).substr(at, end - at));
    output += make_line(tokenizer, text, o.special, counts);
    at = std::min(end + 1, input.size());
    if (interrupted()) throw Interrupted{};
    if (number % 256 == 0) progress.update(fmt::format("{} %: {}", 100 * at / input.size(), summary(counts)));
  }
  return output;
}

void tokenize(const Options& o) {
  require_given("--tokenizer", o.tokenizer, "a folder or file of a tokenizer");
  require_given("--in", o.in, "the JSONL file to read");
  require_given("--out", o.out, "the JSONL file to write");
  Counts counts;
  write_file_atomic(o.out, tokenize_lines(o, Tokenizer::load(o.tokenizer), counts));
  std::cout << summary(counts) << " in " << o.out << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  Program program(
      {.name = "tokenize_text",
       .usage = "--tokenizer DIR_OR_FILE --in FILE --out FILE [--special]",
       .about =
           "Reads {\"text\": \"...\"} a line and writes {\"ids\": [...], \"decoded\": \"...\"} a line: the "
           "text's\n"
           "tokens and the text of these tokens, in which special tokens are spelled out. Other keys of "
           "a line are\n"
           "ignored. Nothing is written if a line is bad.",
       .example = "tokenize_text --tokenizer data/base_small --in texts.jsonl --out ids.jsonl",
       .interrupted = "interrupted; nothing was written"});
  program
      .option("tokenizer", o.tokenizer, "DIR_OR_FILE",
              "a tokenizer.json, tokenizer.model or *.tiktoken, or a folder with one, looked for in this order "
              "(required)")
      .option("in", o.in, "FILE", "JSONL to read (required)")
      .option("out", o.out, "FILE", "JSONL to write (required)")
      .flag("special", o.special,
            "add the special tokens that the tokenizer puts around a text (BOS and the like)");
  return program.run(argc, argv, [&] { tokenize(o); });
}
