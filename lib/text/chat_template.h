// What the template of a chat model says of how it was trained. It is looked at for a format's own tokens, not
// run: prompts are made by the formats of chat.h.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "text/chat.h"

namespace attnlab {

// The Jinja text beside a tokenizer's file, as transformers looks for it: chat_template.jinja,
// chat_template.json, or in tokenizer_config.json (of a list the template named "default", or the first).
// Empty: none. Throws InputError for files that are no JSON.
std::string chat_template_beside(const std::filesystem::path& tokenizer);

// The formats whose turns begin as the template's do; several where templates are told apart by blanks alone.
// Empty: none of them.
std::vector<ChatFormat> formats_like(std::string_view chat_template);

}  // namespace attnlab
