#include "data/readers.h"

#include <algorithm>

#include "core/errors.h"
#include "core/files.h"
#include "core/jsonl.h"
#include "data/answers.h"

namespace attnlab {
namespace {

template <class Convert>
std::vector<Example> read_jsonl(const std::filesystem::path& path, Convert convert) {
  std::vector<Example> examples;
  for_each_record(path, [&](const Record& record) { examples.push_back(convert(record)); });
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

std::vector<Example> read_texts(const std::filesystem::path& path) {
  return read_jsonl(path, [&](const Record& record) { return Example{.answer = record.text("text")}; });
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
