// Conversations: JSONL with "messages", a list of {"role", "content"} (the form of SmolTalk).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace attnlab {

// Each conversation as an example. Turns of `roles` are learnt, every one of them: an assistant's without the
// header that generation gives it, others whole. The last such turn is the answer; what follows it is left out.
// gold is what follows "#### " in it, where it is an assistant's. Throws InputError (file, line, key) for
// messages of another form, roles and orders that the format lacks, and conversations with nothing to learn.
std::vector<Example> read_chats(const std::filesystem::path& path, ChatFormat format,
                                const std::vector<std::string>& roles);

}  // namespace attnlab
