#include "tasks/presets.h"

#include <map>

#include "core/errors.h"
#include "tasks/boxed.h"
#include "tasks/code_cuts.h"
#include "tasks/extract.h"
#include "tasks/math_equiv.h"
#include "tasks/questions.h"
#include "tasks/transmla_answers.h"

namespace attnlab {
namespace {

using Stops = std::vector<std::string>;
using Table = std::map<std::pair<Task, Protocol>, Preset>;

std::string as_it_is(std::string_view reply) { return std::string(reply); }
std::string boxed_answer(std::string_view reply) {
  const auto boxed = last_boxed(reply);
  const auto answer = boxed ? inside_boxed(*boxed) : std::nullopt;
  return answer.value_or(std::string(kNoAnswer));
}

// lm_eval compares with the whole worked answer, but for gsm8k_cot.
bool same_as_answer(const std::string& answer, const Problem& p) { return same_number_text(answer, p.answer); }
bool same_as_gold(const std::string& answer, const Problem& p) { return same_number_text(answer, p.gold); }
bool same_rounded(const std::string& answer, const Problem& p) { return same_rounded_number(answer, p.gold); }
bool begins_with_gold(const std::string& answer, const Problem& p) {
  return answer == p.gold || answer.starts_with(p.gold + ",");
}
bool same_math(const std::string& answer, const Problem& p) {
  return answer != kNoAnswer && math_equivalent(answer, p.gold);
}

std::string continued(const Problem& p, const std::string& completion) { return p.prompt + completion; }
std::string alone(const Problem&, const std::string& completion) { return completion; }
std::string behind_docstring(const Problem& p, const std::string& completion) {
  return bigcode_mbpp_question(p) + completion;
}

Stops with_end(Stops stops) {
  stops.emplace_back(kEndToken);
  return stops;
}

// evalplus's stop strings: those of all, then a task's own, which only text that continues a prompt ends at.
Stops evalplus_stops(const Stops& more) {
  Stops stops{std::string(kEndToken), "<|endofmask|>", "</s>", "\nif __name__", "\ndef main(", "\nprint("};
  stops.insert(stops.end(), more.begin(), more.end());
  return stops;
}

void add_gsm8k(Table& table) {
  const Preset strict{.question = gsm8k_question,
                      .solution = gsm8k_solution,
                      .shot_source = ShotSource::train,
                      .shots = 5,
                      .stops = with_end({"Question:", "</s>", "<|im_end|>"}),
                      .extract = answer_after_hashes,
                      .matches = same_as_answer};
  Preset cot = strict;
  cot.question = cot_question;
  cot.solution = cot_solution;
  cot.shot_source = ShotSource::eight_worked;
  cot.shots = 8;
  cot.stops = with_end({"Q:", "</s>", "<|im_end|>"});
  cot.extract = answer_before_any_character;
  cot.matches = same_as_gold;
  Preset zeroshot = cot;
  zeroshot.question = cot_zeroshot_question;
  zeroshot.solution = nullptr;
  zeroshot.shot_source = ShotSource::none;
  zeroshot.shots = 0;
  zeroshot.matches = same_as_answer;
  const auto flexible = [](Preset preset) {
    preset.extract = last_number;
    return preset;
  };
  table[{Task::gsm8k, Protocol::lm_eval_strict}] = strict;
  table[{Task::gsm8k, Protocol::lm_eval_flexible}] = flexible(strict);
  table[{Task::gsm8k, Protocol::lm_eval_cot}] = cot;
  table[{Task::gsm8k, Protocol::lm_eval_cot_flexible}] = flexible(cot);
  for (const auto& [task, preset] : {std::pair{Task::gsm8k_cot, cot}, {Task::gsm8k_cot_zeroshot, zeroshot}}) {
    table[{task, Protocol::lm_eval_strict}] = table[{task, Protocol::lm_eval_cot}] = preset;
    table[{task, Protocol::lm_eval_flexible}] = table[{task, Protocol::lm_eval_cot_flexible}] =
        flexible(preset);
  }
  table[{Task::gsm8k, Protocol::transmla_v1}] = {.question = instruction_question,
                                                 .max_new_tokens = 1024,
                                                 .extract = rounded_answer,
                                                 .matches = same_rounded};
}

void add_math(Table& table) {
  table[{Task::math, Protocol::lm_eval}] = {.question = math_question,
                                            .solution = math_solution,
                                            .shot_source = ShotSource::train,
                                            .stops = with_end({"Problem:"}),
                                            .extract = between_dollars,
                                            .matches = same_math};
  Preset boxed = table[{Task::math, Protocol::lm_eval}];
  boxed.solution = worked_math_solution;
  boxed.max_new_tokens = 1024;
  boxed.extract = boxed_answer;
  table[{Task::math, Protocol::boxed}] = boxed;
  table[{Task::math, Protocol::transmla_v1}] = {.question = instruction_question,
                                                .max_new_tokens = 1024,
                                                .extract = math_answer_text,
                                                .matches = same_math};
}

// `stops`: the task's own.
void add_evalplus(Table& table, Task task, const Stops& stops) {
  Preset preset{.question = evalplus_base_question,
                .max_new_tokens = 768,
                .stops = evalplus_stops(stops),
                .program = alone,
                .sanitized = Preset::Sanitized::continuation};
  table[{task, Protocol::evalplus_base}] = preset;
  preset.question = evalplus_chat_question;
  // evalplus also ends at a fence, since it begins the answer with one; here a fence may be the first.
  preset.stops = evalplus_stops({});
  preset.sanitized = Preset::Sanitized::by_indentation;
  table[{task, Protocol::evalplus}] = preset;
}

void add_humaneval(Table& table) {
  const auto add = [&](Protocol protocol, const Preset& preset) {
    table[{Task::humaneval, protocol}] = preset;
  };
  const Preset plain{.question = code_prompt, .max_new_tokens = 512, .extract = as_it_is, .program = continued};
  add(Protocol::human_eval, plain);
  Preset preset = plain;
  preset.max_new_tokens = 1024;
  preset.stops = with_end({"\nclass", "\ndef", "\n#", "\nif", "\nprint"});
  add(Protocol::lm_eval, preset);
  preset.question = humaneval_instruct_question;
  preset.extract = before_fence;
  add(Protocol::lm_eval_instruct, preset);
  preset = plain;
  preset.stops = {"\nclass", "\ndef", "\n#", "\n@", "\nprint", "\nif", "\n```", "<file_sep>"};
  add(Protocol::bigcode, preset);
  add_evalplus(table, Task::humaneval, {"\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert "});
  preset = plain;
  preset.question = instruction_question;
  preset.max_new_tokens = 1024;
  preset.extract = code_of_reply;
  add(Protocol::transmla_v1, preset);
}

void add_mbpp(Table& table) {
  const auto add = [&](Protocol protocol, const Preset& preset) { table[{Task::mbpp, protocol}] = preset; };
  const Preset lm_eval{.question = mbpp_question,
                       .solution = mbpp_solution,
                       .shot_source = ShotSource::first_mbpp,
                       .shots = 3,
                       .stops = with_end({"[DONE]"}),
                       .extract = as_it_is,
                       .program = alone};
  add(Protocol::lm_eval, lm_eval);
  Preset preset = lm_eval;
  preset.stops = {};
  add(Protocol::human_eval, preset);
  preset.question = mbpp_instruct_question;
  preset.solution = mbpp_instruct_solution;
  preset.stops = with_end({});
  preset.extract = first_fenced;
  add(Protocol::lm_eval_instruct, preset);
  add(Protocol::bigcode, {.question = bigcode_mbpp_question,
                          .max_new_tokens = 512,
                          .stops = {"\nclass", "\nassert", "\n\"\"\"", "\nprint", "\nif", "\n<|/", "\n```"},
                          .extract = as_it_is,
                          .program = behind_docstring});
  add_evalplus(table, Task::mbpp, {"\n\"\"\"", "\nassert"});
  add(Protocol::transmla_v1,
      {.question = instruction_question, .max_new_tokens = 1024, .extract = code_of_reply, .program = alone});
}

void add_retrieval(Table& table) {
  for (const Task task : {Task::passkey, Task::key_values, Task::variable_trace})
    table[{task, Protocol::numbers}] = {.question = retrieval_question,
                                        .max_new_tokens = 32,
                                        .stops = with_end({"\n", "</s>", "<|im_end|>"}),
                                        .extract = numbers_of_reply,
                                        .matches = begins_with_gold};
}

const Table& presets() {
  static const Table table = [] {
    Table made;
    add_gsm8k(made);
    add_math(made);
    add_humaneval(made);
    add_mbpp(made);
    add_retrieval(made);
    return made;
  }();
  return table;
}

// The project's own tasks have the form of a public one, and are scored as it is.
Task scored_as(Task task) {
  if (task == Task::word_problems) return Task::gsm8k;
  return task == Task::code_functions ? Task::humaneval : task;
}

}  // namespace

std::vector<Protocol> protocols_of(Task task) {
  std::vector<Protocol> known;
  for (const auto& [key, preset] : presets())
    if (key.first == scored_as(task)) known.push_back(key.second);
  return known;
}

const Preset& preset_of(Task task, Protocol protocol) {
  if (const auto found = presets().find({scored_as(task), protocol}); found != presets().end())
    return found->second;
  std::vector<std::string> names;
  for (const Protocol known : protocols_of(task)) names.emplace_back(name_of(known));
  const std::string wanted = names.empty() ? "no protocol: it is scored by likelihood" : one_of(names);
  throw InputError(BadInput{.file = "--protocol",
                            .found = "'" + std::string(name_of(protocol)) + "'",
                            .expected = wanted + " for the task " + std::string(name_of(task)),
                            .nearest = nearest_name(name_of(protocol), names)});
}

}  // namespace attnlab
