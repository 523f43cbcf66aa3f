// Writes generated word problems or questions about a context (GSM8K's JSONL form), or Python functions (MBPP's
// form, with HumanEval's prompt and entry point beside it).
#include <iostream>
#include <nlohmann/json.hpp>

#include "core/files.h"
#include "data/code_functions.h"
#include "data/retrieval.h"
#include "data/word_problems.h"
#include "program.h"

namespace {

using namespace attnlab;

struct Options {
  std::string kind = "word_problems", split = "train", out;
  int64_t seed = 0, count = 1000, difficulty_min = 1, difficulty_max = 3, words = 200;
};

Split validate(const Options& o) {
  require_name("--kind", o.kind,
               {"word_problems", "code_functions", "passkey", "key_values", "variable_trace"});
  require_range("--words", o.words, 8, 1000000);
  const auto split = parse_name<Split>("--split", o.split);
  require_range("--seed", o.seed, 0);
  require_range("--count", o.count, 1);
  require_range("--difficulty-min", o.difficulty_min, min_difficulty, max_difficulty);
  require_range("--difficulty-max", o.difficulty_max, o.difficulty_min, max_difficulty);
  require_given("--out", o.out, "the file to write");
  return split;
}

nlohmann::ordered_json make_line(const Options& o, Split split, int64_t index) {
  const auto seed = static_cast<uint64_t>(o.seed);
  const int64_t difficulty = o.difficulty_min + index % (o.difficulty_max - o.difficulty_min + 1);
  if (o.kind == "word_problems") {
    const WordProblem problem = word_problem(seed, split, index, difficulty);
    return {{"question", problem.question}, {"answer", problem.answer}};
  }
  if (const auto kind = from_name<DataKind>(o.kind); kind && is_retrieval(*kind)) {
    const Retrieval problem = retrieval(*kind, seed, split, index, difficulty, o.words);
    return {{"question", problem.context + '\n' + problem.question}, {"answer", problem.answer}};
  }
  const CodeFunction f = code_function(seed, split, index, difficulty);
  return {{"task_id", f.task_id},
          {"text", f.text},
          {"code", f.code},
          {"test_list", f.test_list},
          {"prompt", f.prompt},
          {"canonical_solution", f.body},
          {"entry_point", f.entry_point},
          {"test_setup_code", ""},
          {"challenge_test_list", std::vector<std::string>{}}};
}

void generate(const Options& o) {
  const Split split = validate(o);
  std::string text;
  for (int64_t i = 0; i < o.count; ++i) text += make_line(o, split, i).dump() + '\n';
  write_file_atomic(o.out, text);
  std::cout << o.count << " lines in " << o.out << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  Program program(
      {.name = "generate_data",
       .usage = "--out FILE [options]",
       .about = "Writes training and evaluation problems, a pure function of the options, as JSONL.",
       .example = "generate_data --kind word_problems --split train --seed 0 --count 1000 "
                  "--difficulty-min 1 --difficulty-max 3 --out train.jsonl"});
  program.option("out", o.out, "FILE", "file to write (required)")
      .option("kind", o.kind, "NAME", "word_problems, code_functions, passkey, key_values or variable_trace")
      .option("split", o.split, "NAME", "train, valid or test (disjoint)")
      .option("seed", o.seed, "N", "seed of the generator")
      .option("count", o.count, "N", "number of lines")
      .option("difficulty-min", o.difficulty_min, "N", "easiest, 1 to 5")
      .option("difficulty-max", o.difficulty_max, "N", "hardest, 1 to 5")
      .option("words", o.words, "N", "of a context, about (passkey, key_values, variable_trace)");
  return program.run(argc, argv, [&] { generate(o); });
}
