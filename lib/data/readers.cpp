#include "data/readers.h"

#include <algorithm>

#include "core/errors.h"
#include "core/files.h"
#include "core/json.h"
#include "core/jsonl.h"
#include "data/answers.h"
#include "data/unread_keys.h"
#include "text/utf8.h"

namespace attnlab {
namespace {

template <class Convert>
std::vector<Example> read_jsonl(const std::filesystem::path& path, Convert convert) {
  std::vector<Example> examples;
  for_each_record(path, [&](const Record& record) { examples.push_back(convert(record)); });
  return examples;
}

}  // namespace

std::vector<Example> read_gsm8k(const std::filesystem::path& path, PromptTemplate format,
                                std::vector<std::string>& notes) {
  UnreadKeys unread;
  AnswersWithoutNumber golds;
  auto examples = read_jsonl(path, [&](const Record& record) {
    unread.see(record.object, {"question", "answer"}, record.line);
    const std::string answer = record.text("answer");
    const auto gold = golds.gold_of(answer, record.line);
    if (!gold) record.fail("answer", "no final answer", "a last line \"#### N\"");
    return Example{.prompt = apply_template(format, record.text("question")),
                   .answer = apply_template_to_answer(format, answer),
                   .gold = *gold};
  });
  unread.note(path, notes);
  golds.note(path, notes);
  return examples;
}

std::vector<Example> read_instructions(const std::filesystem::path& path, PromptTemplate format,
                                       std::vector<std::string>& notes) {
  UnreadKeys unread;
  AnswersWithoutNumber golds;
  auto examples = read_jsonl(path, [&](const Record& record) {
    const bool query = !record.has("instruction") && record.has("query");
    unread.see(record.object, {query ? "query" : "instruction", "input", query ? "response" : "output"},
               record.line);
    std::string prompt = record.text(query ? "query" : "instruction");
    if (record.has("input")) {
      const std::string input = record.text("input");
      if (!input.empty()) prompt += "\n\n" + input;
    }
    const std::string answer = record.text(query ? "response" : "output");
    return Example{.prompt = apply_template(format, prompt),
                   .answer = apply_template_to_answer(format, answer),
                   .gold = golds.gold_of(answer, record.line).value_or("")};
  });
  unread.note(path, notes);
  golds.note(path, notes);
  return examples;
}

std::vector<Example> read_texts(const std::filesystem::path& path) {
  return read_jsonl(path, [&](const Record& record) { return Example{.answer = document_of(record)}; });
}

std::vector<Example> read_text_folder(const std::filesystem::path& folder,
                                      const std::vector<std::string>& extensions,
                                      std::vector<std::string>& notes) {
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
  std::vector<std::string> broken;
  for (const auto& [name, path] : files) {
    const std::string bytes = read_file(path);
    std::string text(without_byte_order_mark(bytes, path.string()));
    if (text.empty()) continue;
    if (!text::is_valid_utf8(text)) broken.push_back(name);
    documents.push_back({.answer = std::move(text)});
  }
  if (!broken.empty())
    notes.push_back(folder.string() + ": " + std::to_string(broken.size()) +
                    " files hold bytes that are not UTF-8 and are read as U+FFFD (first: " + broken.front() +
                    ")");
  if (documents.empty())
    throw InputError(BadInput{.file = folder.string(),
                              .found = std::to_string(files.size()) + " files, none with text",
                              .expected = "files named *" + join(extensions, ", *")});
  return documents;
}

}  // namespace attnlab
