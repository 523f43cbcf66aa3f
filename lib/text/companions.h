// What the files beside a tokenizer add to it: tokenizer_config.json, special_tokens_map.json,
// added_tokens.json, read as transformers 5 does.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/added_tokens.h"

namespace attnlab::text {

// Where a token is told of.
struct Place {
  std::string file, key;
};
struct StatedToken {
  AddedToken token;
  Place place;
  bool has_flags = true;  // added_tokens.json gives an id only
};
struct NamedToken {
  AddedToken token;  // without an id
  Place place;
};

struct Companions {
  std::vector<StatedToken> stated;          // with an id, by id
  std::map<std::string, NamedToken> named;  // by their part: bos_token, eos_token, unk_token, …
  std::vector<NamedToken> extra;            // special ones without a part
  std::optional<bool> add_bos_token, add_eos_token, add_prefix_space, legacy;
  bool has_bos = true, has_eos = true;  // false: explicitly null
  std::string tokenizer_class;
  std::vector<std::string> notes;  // what is not read and could matter
};

// Those of the three that lie beside the file.
std::vector<std::filesystem::path> companion_files(const std::filesystem::path& tokenizer);

// The special_tokens_map.json and the added_tokens.json count only where tokenizer_config.json has no
// added_tokens_decoder; what they say beyond it then is told in a note. Throws InputError with file and key.
Companions read_companions(const std::filesystem::path& tokenizer);

// What the tokenizer's own file holds.
struct KnownTokens {
  std::string file;
  std::function<std::optional<int32_t>(std::string_view)> model_id;  // of its model's tokens
  size_t model_size = 0;
  bool names_are_guessed = false;  // of its added tokens: a stated name replaces the one of the same id
};

// Completes the added tokens by those that the companions state, and marks those that they name. An id that is
// stated must be the one that the token has, or, for a new token, the next one: no other would be given to it
// by transformers. bos_token and eos_token must be tokens; of others that are none a note tells. Throws
// InputError.
void add_companions(Companions& companions, const KnownTokens& known, std::vector<AddedToken>& added);

// The id of the token that the companions name so; nothing where they name none.
std::optional<int64_t> named_id(const Companions& companions, const std::string& part,
                                const std::vector<AddedToken>& added);

}  // namespace attnlab::text
