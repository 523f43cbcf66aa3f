// Writes generated word problems (GSM8K's JSONL form) or Python functions (MBPP's form, with HumanEval's prompt
// and entry point beside it).
#include <algorithm>
#include <boost/program_options.hpp>
#include <iostream>
#include <nlohmann/json.hpp>

#include "core/errors.h"
#include "core/files.h"
#include "data/code_functions.h"
#include "data/word_problems.h"

namespace {

using namespace attnlab;
namespace po = boost::program_options;

struct Options {
  std::string kind = "word_problems", split = "train", out;
  int64_t seed = 0, count = 1000, difficulty_min = 1, difficulty_max = 3;
  bool help = false;
};

constexpr const char* example =
    "Example: generate_data --kind word_problems --split train --seed 0 --count 1000 --difficulty-min 1 "
    "--difficulty-max 3 --out train.jsonl";

po::options_description describe_options(Options& o) {
  po::options_description options("generate_data: deterministic training and evaluation problems as JSONL");
  auto add = options.add_options();
  add("help,h", po::bool_switch(&o.help), "show this help");
  add("kind", po::value(&o.kind)->default_value(o.kind), "word_problems or code_functions");
  add("split", po::value(&o.split)->default_value(o.split), "train, valid or test (disjoint)");
  add("seed", po::value(&o.seed)->default_value(o.seed), "seed of the generator");
  add("count", po::value(&o.count)->default_value(o.count), "number of lines");
  add("difficulty-min", po::value(&o.difficulty_min)->default_value(o.difficulty_min), "easiest, 1 to 5");
  add("difficulty-max", po::value(&o.difficulty_max)->default_value(o.difficulty_max), "hardest, 1 to 5");
  add("out", po::value(&o.out), "file to write");
  return options;
}

void require(bool valid, const std::string& key, const std::string& found, const std::string& expected,
             const std::string& nearest = "") {
  if (valid) return;
  throw InputError(BadInput{.file = "--" + key, .found = found, .expected = expected, .nearest = nearest});
}

Split validate(const Options& o) {
  const std::vector<std::string> kinds{"word_problems", "code_functions"};
  require(std::find(kinds.begin(), kinds.end(), o.kind) != kinds.end(), "kind", o.kind, "one of " + join(kinds),
          nearest_name(o.kind, kinds));
  const auto split = from_name<Split>(o.split);
  require(split.has_value(), "split", o.split, "one of " + join(all_names<Split>()),
          nearest_name(o.split, all_names<Split>()));
  require(o.seed >= 0, "seed", std::to_string(o.seed), "a number from 0");
  require(o.count >= 1, "count", std::to_string(o.count), "a number from 1");
  const std::string range = "1 to 5";
  require(o.difficulty_min >= min_difficulty && o.difficulty_min <= max_difficulty, "difficulty-min",
          std::to_string(o.difficulty_min), range);
  require(o.difficulty_max >= o.difficulty_min && o.difficulty_max <= max_difficulty, "difficulty-max",
          std::to_string(o.difficulty_max), std::to_string(o.difficulty_min) + " to 5");
  require(!o.out.empty(), "out", "nothing", "the file to write");
  return *split;
}

nlohmann::ordered_json make_line(const Options& o, Split split, int64_t index) {
  const auto seed = static_cast<uint64_t>(o.seed);
  const int64_t difficulty = o.difficulty_min + index % (o.difficulty_max - o.difficulty_min + 1);
  if (o.kind == "word_problems") {
    const WordProblem problem = word_problem(seed, split, index, difficulty);
    return {{"question", problem.question}, {"answer", problem.answer}};
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

int run(int argc, char** argv) {
  Options options;
  const auto description = describe_options(options);
  po::variables_map values;
  po::store(po::command_line_parser(argc, argv)
                .options(description)
                .positional(po::positional_options_description())
                .style(po::command_line_style::default_style & ~po::command_line_style::allow_guessing)
                .run(),
            values);
  po::notify(values);
  if (options.help) {
    std::cout << description << '\n' << example << '\n';
    return 0;
  }
  const Split split = validate(options);
  std::string text;
  for (int64_t i = 0; i < options.count; ++i) text += make_line(options, split, i).dump() + '\n';
  write_file_atomic(options.out, text);
  std::cout << options.count << " lines in " << options.out << '\n';
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const po::error& error) {
    std::cerr << "generate_data: " << error.what() << " (--help lists the options)\n";
    return 2;
  } catch (const InputError& error) {
    std::cerr << "generate_data: " << error.what() << '\n';
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "generate_data: " << error.what() << '\n';
    return 1;
  }
}
