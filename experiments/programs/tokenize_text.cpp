// tokenize_text: texts to token ids and back, one JSON object a line.
#include <fmt/format.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "core/files.h"
#include "core/interrupt.h"
#include "core/jsonl.h"
#include "core/progress.h"
#include "program.h"
#include "text/tokenizer.h"

namespace {

using namespace attnlab;

struct Options {
  std::string tokenizer, in, out;
  bool special = false;
};

struct Counts {
  int64_t lines = 0, bytes = 0, tokens = 0;
};

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

// All texts of the file, which is read whole and written whole.
std::string tokenize_lines(const Options& o, const Tokenizer& tokenizer, Counts& counts) {
  catch_interrupts();
  ProgressLine progress;
  std::string output;
  const auto read = [&](const Record& record) {
    output += make_line(tokenizer, record.text("text"), o.special, counts);
    if (interrupted()) throw Interrupted{};
    if (counts.lines % 256 == 0) progress.update(summary(counts));
  };
  for_each_record(o.in, read, /*none_will_do=*/true);
  return output;
}

void tokenize(const Options& o) {
  require_given("--tokenizer", o.tokenizer, "a folder or file of a tokenizer");
  require_given("--in", o.in, "the JSONL file to read");
  require_given("--out", o.out, "the JSONL file to write");
  Counts counts;
  const auto tokenizer = Tokenizer::load(o.tokenizer);
  print_notes(tokenizer.notes());
  write_file_atomic(o.out, tokenize_lines(o, tokenizer, counts));
  std::cout << summary(counts) << " in " << o.out << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  Program program(
      {.name = "tokenize_text",
       .usage = "--tokenizer DIR_OR_FILE --in FILE --out FILE [--special]",
       .about =
           "Reads {\"text\": \"...\"} a line, or one JSON array of such objects, and writes {\"ids\": [...],\n"
           "\"decoded\": \"...\"} a line: the text's tokens and the text of these tokens, in which special\n"
           "tokens are spelled out. Other keys of a line are ignored. Nothing is written if a line is bad.",
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
