// Files of examples. All readers throw InputError with file, line and key. JSONL may be gzipped.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace attnlab {

// GSM8K's JSONL: {"question", "answer"}, the answer ending in "#### N".
std::vector<Example> read_gsm8k(const std::filesystem::path& path, PromptTemplate format);

// JSONL with {"instruction", "output"}, an optional "input" (appended to the instruction), or
// {"query", "response"}. gold is what follows "#### " in the output, if anything.
std::vector<Example> read_instructions(const std::filesystem::path& path, PromptTemplate format);

// JSONL with {"text"}: one document a line.
std::vector<Example> read_texts(const std::filesystem::path& path);

// Every regular file below `folder` with one of the extensions ("py" and ".py" mean the same), in the order of
// their relative paths, one document each; empty files are left out.
std::vector<Example> read_text_folder(const std::filesystem::path& folder,
                                      const std::vector<std::string>& extensions);

}  // namespace attnlab
