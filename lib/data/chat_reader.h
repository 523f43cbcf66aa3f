// Conversations: JSONL with "messages", a list of {"role", "content"} (the form of SmolTalk and OpenAI).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace attnlab {

// Each conversation as an example. Turns of `roles` are learnt, every one of them: an assistant's without the
// header that generation gives it, others whole. A turn of "weight" 0 is not learnt, 1 is as none (the meaning
// of OpenAI's fine-tuning format and of axolotl). The last turn that is learnt is the answer; what follows it
// is left out, as are conversations whose weights leave nothing to learn: `notes` counts them, and names keys
// that are not read. gold is the final answer in it (answers.h), where it is an assistant's. Throws InputError
// (file, line, key) for messages of another form, other weights, roles and orders that the format lacks, and
// conversations without a turn of `roles`.
std::vector<Example> read_chats(const std::filesystem::path& path, ChatFormat format,
                                const std::vector<std::string>& roles, std::vector<std::string>& notes);

}  // namespace attnlab
