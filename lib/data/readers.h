// Files of examples. All readers throw InputError with file, line and key. JSONL may be gzipped, or one JSON
// array. `notes` gets what the user should know of a file that is read all the same.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace attnlab {

// GSM8K's JSONL: {"question", "answer"}, the answer ending in "#### N". An N that is no number is no gold: the
// example is trained on, is not asked, and is counted in a note.
std::vector<Example> read_gsm8k(const std::filesystem::path& path, PromptTemplate format,
                                std::vector<std::string>& notes);

// JSONL with {"instruction", "output"}, an optional "input" (appended to the instruction), or
// {"query", "response"}. gold is the final answer of the output (answers.h), if it has one.
std::vector<Example> read_instructions(const std::filesystem::path& path, PromptTemplate format,
                                       std::vector<std::string>& notes);

// JSONL with {"text"}: one document a line.
std::vector<Example> read_texts(const std::filesystem::path& path);

// Every regular file below `folder` with one of the extensions ("py" and ".py" mean the same), in the order of
// their relative paths, one document each; empty files are left out. A byte order mark in front is no part of
// the text; bytes that are not UTF-8 are told in a note (the tokenizer reads them as U+FFFD).
std::vector<Example> read_text_folder(const std::filesystem::path& folder,
                                      const std::vector<std::string>& extensions,
                                      std::vector<std::string>& notes);

}  // namespace attnlab
