#include "data/readers.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "core/errors.h"
#include "core/files.h"
#include "data/answers.h"

namespace attnlab {
namespace {

using nlohmann::json;

// One object of a JSONL file and where it stands.
struct Record {
  const std::filesystem::path& path;
  int64_t line;
  json object;

  [[noreturn]] void fail(const std::string& key, const std::string& found, const std::string& expected,
                         const std::string& nearest = "") const {
    throw InputError(BadInput{path.string(), line, key, found, expected, nearest});
  }
  bool has(const char* key) const { return object.contains(key); }
  std::string text(const char* key) const {
    const auto value = object.find(key);
    if (value == object.end()) {
      std::vector<std::string> present;
      for (const auto& [name, unused] : object.items()) present.push_back(name);
      fail(key, "no such key (there are: " + join(present) + ")", "a string", nearest_name(key, present));
    }
    if (!value->is_string()) fail(key, value->type_name(), "a string");
    return value->get<std::string>();
  }
};

json parse_object(const std::filesystem::path& path, int64_t line, std::string_view text) {
  json object;
  try {
    object = json::parse(text);
  } catch (const json::parse_error& error) {
    throw InputError(BadInput{.file = path.string(),
                              .line = line,
                              .found = "malformed JSON at character " + std::to_string(error.byte),
                              .expected = "one JSON object a line"});
  }
  if (!object.is_object())
    throw InputError(BadInput{.file = path.string(),
                              .line = line,
                              .found = object.type_name(),
                              .expected = "one JSON object a line"});
  return object;
}

template <class Convert>
std::vector<Example> read_jsonl(const std::filesystem::path& path, Convert convert) {
  const std::string bytes = read_file(path);
  std::vector<Example> examples;
  int64_t line = 0;
  for (size_t at = 0; at < bytes.size();) {
    const size_t end = std::min(bytes.find('\n', at), bytes.size());
    const std::string_view text = std::string_view(bytes).substr(at, end - at);
    ++line;
    if (text.find_first_not_of(" \t\r") != std::string_view::npos)
      examples.push_back(convert(Record{path, line, parse_object(path, line, text)}));
    at = end + 1;
  }
  if (examples.empty())
    throw InputError(
        BadInput{.file = path.string(), .found = "no examples", .expected = "one JSON object a line"});
  return examples;
}

}  // namespace

std::vector<Example> read_gsm8k(const std::filesystem::path& path, PromptTemplate format) {
  return read_jsonl(path, [&](const Record& record) {
    const std::string answer = record.text("answer");
    Example example{.prompt = apply_template(format, record.text("question")),
                    .answer = apply_template_to_answer(format, answer),
                    .gold = extract_answer(answer)};
    if (example.gold.empty()) record.fail("answer", "no final answer", "a last line \"#### N\"");
    return example;
  });
}

std::vector<Example> read_instructions(const std::filesystem::path& path, PromptTemplate format) {
  return read_jsonl(path, [&](const Record& record) {
    const bool query = !record.has("instruction") && record.has("query");
    std::string prompt = record.text(query ? "query" : "instruction");
    if (record.has("input")) {
      const std::string input = record.text("input");
      if (!input.empty()) prompt += "\n\n" + input;
    }
    const std::string answer = record.text(query ? "response" : "output");
    return Example{.prompt = apply_template(format, prompt),
                   .answer = apply_template_to_answer(format, answer),
                   .gold = extract_answer(answer)};
  });
}

std::vector<Example> read_text_folder(const std::filesystem::path& folder,
                                      const std::vector<std::string>& extensions) {
  namespace fs = std::filesystem;
  if (!fs::is_directory(folder))
    throw InputError(BadInput{.file = folder.string(),
                              .found = fs::exists(folder) ? "a file" : "nothing",
                              .expected = "a folder of text files"});
  std::vector<std::pair<std::string, fs::path>> files;
  const auto options = fs::directory_options::skip_permission_denied;
  for (const auto& entry : fs::recursive_directory_iterator(folder, options)) {
    const std::string extension = entry.path().extension().string();
    const bool wanted = std::any_of(extensions.begin(), extensions.end(), [&](const std::string& name) {
      return !name.empty() && extension == (name[0] == '.' ? name : '.' + name);
    });
    if (wanted && entry.is_regular_file())
      files.emplace_back(entry.path().lexically_relative(folder).generic_string(), entry.path());
  }
  std::sort(files.begin(), files.end());
  std::vector<Example> documents;
  for (const auto& [name, path] : files)
    if (std::string text = read_file(path); !text.empty()) documents.push_back({.answer = std::move(text)});
  if (documents.empty())
    throw InputError(BadInput{.file = folder.string(),
                              .found = std::to_string(files.size()) + " files, none with text",
                              .expected = "files named *" + join(extensions, ", *")});
  return documents;
}

}  // namespace attnlab
