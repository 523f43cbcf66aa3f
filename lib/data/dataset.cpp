#include "data/dataset.h"

#include <algorithm>
#include <set>
#include <utility>

#include "core/errors.h"
#include "core/random.h"
#include "data/chat_reader.h"
#include "data/code_functions.h"
#include "data/mixture.h"
#include "data/readers.h"
#include "data/retrieval.h"
#include "data/word_problems.h"

namespace attnlab {
namespace {

class ExampleList : public Dataset {
 public:
  explicit ExampleList(std::vector<Example> examples, std::vector<std::string> notes = {})
      : examples_(std::move(examples)), notes_(std::move(notes)) {}
  int64_t size() const override { return static_cast<int64_t>(examples_.size()); }
  Example get(int64_t index) const override { return examples_.at(static_cast<size_t>(index)); }
  bool in_memory() const override { return true; }
  std::vector<std::string> notes() const override { return notes_; }

 private:
  std::vector<Example> examples_;
  std::vector<std::string> notes_;
};

// Problems made when they are asked for. Difficulties take turns.
class GeneratedProblems : public Dataset {
 public:
  GeneratedProblems(const DataConfig& config, Split split) : config_(config), split_(split) {}
  int64_t size() const override { return split_ == Split::train ? config_.size : config_.heldout_size; }

  Example get(int64_t index) const override {
    const auto seed = static_cast<uint64_t>(config_.seed);
    const int64_t levels = config_.difficulty_max - config_.difficulty_min + 1;
    const int64_t difficulty = config_.difficulty_min + index % levels;
    if (is_retrieval(config_.kind))
      return lookup(retrieval(config_.kind, seed, split_, index, difficulty, config_.words));
    return is_code(index) ? code(code_function(seed, split_, index, difficulty))
                          : words(word_problem(seed, split_, index, difficulty));
  }

 private:
  bool is_code(int64_t index) const {
    if (config_.kind != DataKind::generated) return config_.kind == DataKind::code_functions;
    return Random(static_cast<uint64_t>(config_.seed) ^ hash_name("code_share"), static_cast<uint64_t>(index))
               .uniform() < config_.code_share;
  }
  Example words(const WordProblem& problem) const {
    const PromptTemplate format = template_for(config_, DataKind::word_problems);
    return {.prompt = apply_template(format, problem.question),
            .answer = apply_template_to_answer(format, problem.answer),
            .gold = std::to_string(problem.gold)};
  }
  Example lookup(const Retrieval& problem) const {
    const PromptTemplate format = template_for(config_, config_.kind);
    Example example{.prompt = apply_template(format, problem.context + '\n' + problem.question),
                    .answer = apply_template_to_answer(format, problem.answer),
                    .gold = problem.gold};
    example.context_bytes = example.prompt.find(problem.context) + problem.context.size();
    return example;
  }
  // Raw: the prompt is completed. In another template the task is told in words and all the code is the answer.
  Example code(const CodeFunction& function) const {
    const PromptTemplate format = template_for(config_, DataKind::code_functions);
    if (format == PromptTemplate::raw) return {.prompt = function.prompt, .answer = function.body};
    return {.prompt = apply_template(format, function.text),
            .answer = apply_template_to_answer(format, function.code)};
  }

  DataConfig config_;
  Split split_;
};

// The first `size` different problems of a held-out split; repeats only after 100 repeats in a row.
std::vector<Example> distinct(const Dataset& problems) {
  std::vector<Example> examples;
  std::set<std::string> seen;
  int64_t repeats = 0;
  for (int64_t index = 0; static_cast<int64_t>(examples.size()) < problems.size(); ++index) {
    Example example = problems.get(index);
    const bool is_new = seen.insert(example.prompt).second;
    repeats = is_new ? 0 : repeats + 1;
    if (is_new || repeats > 100) examples.push_back(std::move(example));
  }
  return examples;
}

std::vector<Example> read_examples(const DataConfig& config, const std::string& path,
                                   std::vector<std::string>& notes) {
  const PromptTemplate format = template_for(config, config.kind);
  if (config.kind == DataKind::gsm8k) return read_gsm8k(path, format, notes);
  if (config.kind == DataKind::instruction_jsonl) return read_instructions(path, format, notes);
  if (config.kind == DataKind::chat_jsonl)
    return read_chats(path, *chat_format_of(format), config.train_roles, notes);
  if (config.kind == DataKind::text_jsonl) return read_texts(path);
  return read_text_folder(path, config.extensions, notes);
}

// The heldout_share of the examples with the smallest hashes, at least one, or the others; order kept. A hash
// is that of the prompt (of the text, for documents): two answers to one question lie on the same side.
std::vector<Example> take_share(std::vector<Example> examples, const DataConfig& config, bool heldout) {
  std::vector<uint64_t> hashes;
  for (const Example& example : examples)
    hashes.push_back(hash_name(example.prompt.empty() ? example.answer : example.prompt));
  const auto wanted = static_cast<size_t>(config.heldout_share * static_cast<double>(examples.size()));
  std::vector<uint64_t> sorted = hashes;
  std::sort(sorted.begin(), sorted.end());
  const uint64_t last = sorted[wanted == 0 ? 0 : wanted - 1];
  std::vector<Example> taken;
  for (size_t i = 0; i < examples.size(); ++i)
    if ((hashes[i] <= last) == heldout) taken.push_back(std::move(examples[i]));
  if (taken.empty())
    throw InputError(BadInput{.file = config.path,
                              .key = "heldout_share",
                              .found = std::to_string(examples.size()) + " different examples or fewer",
                              .expected = "enough for a training and a held-out part, or heldout_path"});
  return taken;
}

void validate_chat(const DataConfig& config) {
  const std::vector<std::string> roles{"system", "user", "assistant"};
  for (const std::string& role : config.train_roles)
    if (std::find(roles.begin(), roles.end(), role) == roles.end())
      throw InputError(BadInput{.key = "data.train_roles",
                                .found = "'" + role + "'",
                                .expected = "of " + join(roles),
                                .nearest = nearest_name(role, roles)});
  if (config.train_roles.empty())
    throw InputError(BadInput{
        .key = "data.train_roles", .found = "an empty list", .expected = "at least one of " + join(roles)});
  if (!chat_format_of(template_for(config, config.kind)))
    throw InputError(BadInput{.key = "data.prompt_template",
                              .found = "'" + std::string(name_of(config.prompt_template)) + "'",
                              .expected = "by_kind (chatml) or a chat format: " +
                                          join(all_names<ChatFormat>()) + " (data.kind chat_jsonl)"});
}

void validate(const DataConfig& config, Split split) {
  if (config.kind == DataKind::chat_jsonl) validate_chat(config);
  if (is_generated(config.kind)) {
    if (config.difficulty_min < min_difficulty || config.difficulty_max > max_difficulty ||
        config.difficulty_min > config.difficulty_max)
      throw InputError(BadInput{.key = "data.difficulty_max",
                                .found = std::to_string(config.difficulty_max),
                                .expected = std::to_string(config.difficulty_min) + " (difficulty_min) to 5"});
    return;
  }
  if (config.path.empty())
    throw InputError(
        BadInput{.key = "data.path",
                 .found = "nothing",
                 .expected = "a path: data.kind " + std::string(name_of(config.kind)) + " needs one"});
  if (split != Split::train && config.heldout_path.empty() && config.heldout_share <= 0)
    throw InputError(BadInput{.key = "data.heldout_share",
                              .found = "0",
                              .expected = "a share above 0, or data.heldout_path, to evaluate on"});
}

std::unique_ptr<Dataset> open_source(const DataConfig& config, Split split) {
  validate(config, split);
  if (is_generated(config.kind)) {
    auto problems = std::make_unique<GeneratedProblems>(config, split);
    if (split == Split::train) return problems;
    return std::make_unique<ExampleList>(distinct(*problems));
  }
  const bool heldout = split != Split::train;
  const bool own_file = !config.heldout_path.empty();
  std::vector<std::string> notes;
  std::vector<Example> examples =
      read_examples(config, heldout && own_file ? config.heldout_path : config.path, notes);
  if (!own_file && config.heldout_share > 0) examples = take_share(std::move(examples), config, heldout);
  if (heldout && config.heldout_path == config.path)
    notes.push_back("data.heldout_path is data.path: what is evaluated was trained on");
  return std::make_unique<ExampleList>(std::move(examples), std::move(notes));
}

// Errors of a part name its keys.
std::unique_ptr<Dataset> open_part(const MixturePart& part, size_t number, Split split) {
  try {
    return open_source(part.source, split);
  } catch (const InputError& error) {
    BadInput problem = error.problem();
    if (!problem.key.starts_with("data.")) throw;
    problem.key.insert(4, ".mixture." + std::to_string(number));
    throw InputError(problem);
  }
}

std::unique_ptr<Dataset> open_mixture(const DataConfig& config, Split split) {
  DataConfig rest = config;
  rest.mixture.clear();
  rest.calibration_tokens = DataConfig{}.calibration_tokens;
  const auto other = flatten(rest), defaults = flatten(DataConfig{});
  for (size_t i = 0; i < other.size(); ++i)
    if (other[i] != defaults[i])
      throw InputError(BadInput{.key = "data." + other[i].first,
                                .found = to_text(other[i].second) + " beside data.mixture",
                                .expected = "this key in the mixture's parts"});
  std::vector<MixtureDataset::Part> parts;
  for (size_t i = 0; i < config.mixture.size(); ++i)
    parts.push_back({config.mixture[i].weight, open_part(config.mixture[i], i, split)});
  return std::make_unique<MixtureDataset>(std::move(parts));
}

}  // namespace

std::unique_ptr<Dataset> open_dataset(const DataConfig& config, Split split) {
  return config.mixture.empty() ? open_source(config, split) : open_mixture(config, split);
}

}  // namespace attnlab
