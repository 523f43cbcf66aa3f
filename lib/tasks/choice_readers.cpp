#include "tasks/choice_readers.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/errors.h"
#include "core/gzip.h"
#include "core/json.h"
#include "core/jsonl.h"
#include "core/numbers.h"
#include "tasks/hellaswag_text.h"
#include "tasks/unicode.h"

namespace attnlab {
namespace {

using nlohmann::json;
using Texts = std::vector<std::string>;

void require_two(const Record& record, const std::string& key, const Texts& choices) {
  if (choices.size() < 2) record.fail(key, std::to_string(choices.size()) + " choices", "two or more");
}

Texts texts_of(const Record& record, const std::string& key, const json& list) {
  Texts texts;
  if (!list.is_array()) record.fail(key, list.type_name(), "a list of strings");
  for (const json& item : list) {
    if (!item.is_string())
      record.fail(key, std::string("a list with ") + item.type_name(), "a list of strings");
    texts.push_back(item.get<std::string>());
  }
  require_two(record, key, texts);
  return texts;
}

// An index below `count`, given as a number or in digits.
int64_t index_of(const Record& record, const char* key, size_t count, int64_t base = 0) {
  const std::string wanted =
      "a number from " + std::to_string(base) + " to " + std::to_string(base + static_cast<int64_t>(count) - 1);
  const json& value = record.member(key, wanted.c_str());
  const std::string digits = value.is_string() ? stripped(value.get<std::string>()) : value.dump();
  const auto number = parse_number<uint32_t>(digits);
  const int64_t index = number ? *number - base : -1;
  if (index < 0 || index >= static_cast<int64_t>(count))
    record.fail(key, value.is_string() ? '"' + printable(digits) + '"' : value.dump(), wanted);
  return index;
}

ChoiceItem read_mmlu(const Record& record) {
  const Texts choices = texts_of(record, "choices", record.member("choices", "a list of four strings"));
  if (choices.size() != 4) record.fail("choices", std::to_string(choices.size()) + " choices", "four");
  const Texts letters{"A", "B", "C", "D"};
  const json& answer = record.member("answer", "a number from 0 to 3, or a letter");
  const auto letter =
      std::find(letters.begin(), letters.end(), answer.is_string() ? answer.get<std::string>() : "");
  const int64_t gold = letter != letters.end() ? letter - letters.begin() : index_of(record, "answer", 4);
  std::string context = stripped(record.text("question"));
  for (size_t i = 0; i < 4; ++i) context += "\n" + letters[i] + ". " + choices[i];
  ChoiceItem item = choice_item(context + "\nAnswer:", letters, gold);
  item.header = "The following are multiple choice questions (with answers) about " +
                replaced(record.text("subject"), "_", " ") + ".\n\n";
  return item;
}

struct Labelled {
  std::string question;
  Texts texts, labels;
};

// The authors' form: the choices are objects inside the question.
Labelled read_nested(const Record& record, const json& question) {
  Labelled read;
  const auto text = [&](const json& object, const char* name, const std::string& key) {
    const auto member = object.find(name);
    if (member == object.end() || !member->is_string()) record.fail(key + "." + name, "nothing", "a string");
    return member->get<std::string>();
  };
  read.question = text(question, "stem", "question");
  const auto choices = question.find("choices");
  if (choices == question.end() || !choices->is_array())
    record.fail("question.choices", "nothing", "a list of {text, label}");
  for (const json& choice : *choices) {
    if (!choice.is_object()) record.fail("question.choices", choice.type_name(), "a list of {text, label}");
    read.texts.push_back(text(choice, "text", "question.choices"));
    read.labels.push_back(text(choice, "label", "question.choices"));
  }
  require_two(record, "question.choices", read.texts);
  return read;
}

Labelled read_labelled(const Record& record, const char* question_key) {
  if (record.has("question") && record.object["question"].is_object())
    return read_nested(record, record.object["question"]);
  const json& choices = record.member("choices", "an object with text and label");
  if (!choices.is_object()) record.fail("choices", choices.type_name(), "an object with text and label");
  for (const char* name : {"text", "label"})
    if (!choices.contains(name)) record.fail(std::string("choices.") + name, "nothing", "a list of strings");
  Labelled read{.question = record.text(question_key),
                .texts = texts_of(record, "choices.text", choices["text"]),
                .labels = texts_of(record, "choices.label", choices["label"])};
  if (read.texts.size() != read.labels.size())
    record.fail("choices.label", std::to_string(read.labels.size()) + " labels",
                std::to_string(read.texts.size()) + ", one a text");
  return read;
}

int64_t labelled_gold(const Record& record, const Labelled& read) {
  const std::string key = stripped(record.text("answerKey"));
  const auto label = std::find(read.labels.begin(), read.labels.end(), key);
  if (label == read.labels.end()) record.fail("answerKey", "'" + key + "'", one_of(read.labels, key));
  return label - read.labels.begin();
}

ChoiceItem read_arc(const Record& record) {
  const Labelled read = read_labelled(record, "question");
  return choice_item("Question: " + read.question + "\nAnswer:", read.texts, labelled_gold(record, read));
}

ChoiceItem read_openbookqa(const Record& record) {
  const Labelled read = read_labelled(record, "question_stem");
  return choice_item(read.question, read.texts, labelled_gold(record, read));
}

ChoiceItem read_piqa(const Record& record) {
  const Texts solutions{record.text("sol1"), record.text("sol2")};
  return choice_item("Question: " + record.text("goal") + "\nAnswer:", solutions, index_of(record, "label", 2));
}

ChoiceItem read_hellaswag(const Record& record) {
  const Texts endings = texts_of(record, "endings", record.member("endings", "a list of strings"));
  const std::string context =
      record.text("activity_label") + ": " + record.text("ctx_a") + " " + capitalized(record.text("ctx_b"));
  Texts choices;
  for (const auto& ending : endings) choices.push_back(hellaswag_text(ending));
  return choice_item(hellaswag_text(context), choices, index_of(record, "label", choices.size()));
}

// The blank is filled in the context; what follows it is scored.
ChoiceItem read_winogrande(const Record& record) {
  const std::string sentence = record.text("sentence");
  const size_t blank = sentence.find('_');
  if (blank == std::string::npos) record.fail("sentence", "no blank", "a sentence with \"_\"");
  const std::string rest = stripped(sentence.substr(blank + 1));
  ChoiceItem item;
  for (const char* option : {"option1", "option2"}) {
    item.contexts.push_back(sentence.substr(0, blank) + record.text(option));
    item.continuations.push_back(" " + rest);
    item.choices.push_back(rest);
  }
  item.gold = index_of(record, "answer", 2, 1);
  return item;
}

ChoiceItem read_choice(Task task, const Record& record) {
  switch (task) {
    case Task::mmlu:
      return read_mmlu(record);
    case Task::piqa:
      return read_piqa(record);
    case Task::hellaswag:
      return read_hellaswag(record);
    case Task::openbookqa:
      return read_openbookqa(record);
    case Task::winogrande:
      return read_winogrande(record);
    default:
      return read_arc(record);
  }
}

// PIQA's authors keep the labels apart, one a line.
struct Labels {
  std::filesystem::path path;
  Texts lines;
};

Labels piqa_labels(const std::filesystem::path& path) {
  Labels labels{path, {}};
  if (labels.path.extension() == ".gz") labels.path.replace_extension();
  labels.path.replace_filename(labels.path.stem().string() + "-labels.lst");
  if (!std::filesystem::exists(labels.path)) return {};
  const std::string bytes = read_text_file(labels.path);
  std::istringstream text{std::string(without_byte_order_mark(bytes, labels.path.string()))};
  for (std::string line; std::getline(text, line);) labels.lines.push_back(stripped(line));
  while (!labels.lines.empty() && labels.lines.back().empty()) labels.lines.pop_back();
  return labels;
}

}  // namespace

std::vector<ChoiceItem> read_choices(Task task, const std::filesystem::path& path) {
  ATTNLAB_CHECK(kind_of(task) == TaskKind::choice);
  const Labels labels = task == Task::piqa ? piqa_labels(path) : Labels{};
  std::vector<ChoiceItem> items;
  bool labelled = false;
  for_each_record(path, [&](const Record& record) {
    Record complete = record;
    if (items.size() < labels.lines.size() && !record.has("label")) {
      complete.object["label"] = labels.lines[items.size()];
      labelled = true;
    }
    items.push_back(read_choice(task, complete));
  });
  if (labelled && labels.lines.size() != items.size())
    throw InputError(BadInput{.file = labels.path.string(),
                              .found = std::to_string(labels.lines.size()) + " labels",
                              .expected = std::to_string(items.size()) + ", one a line of " + path.string()});
  return items;
}

}  // namespace attnlab
