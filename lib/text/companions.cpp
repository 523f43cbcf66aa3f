#include "text/companions.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "core/errors.h"
#include "core/files.h"
#include "core/json.h"
#include "core/numbers.h"
#include "text/json_node.h"
#include "text/tokenizer_model_json.h"

namespace attnlab::text {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfig = "tokenizer_config.json";
constexpr const char* kMap = "special_tokens_map.json";
constexpr const char* kAdded = "added_tokens.json";
constexpr const char* kDecoder = "added_tokens_decoder";

// Keys with a list of special tokens, or, in newer files, a map of them.
bool is_list_key(std::string_view key) {
  return key == "additional_special_tokens" || key == "extra_special_tokens";
}

AddedToken token_of(const JsonNode& node) {
  if (node.value().is_string()) {
    if (node.string().empty()) node.reject("at least one character");
    return {.content = node.string(), .special = true};
  }
  if (!node.value().is_object()) node.reject("a string or an object with its content");
  node.only({"__type", "id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
  return read_added_token(node);
}

class Reader {
 public:
  explicit Reader(const fs::path& folder) : folder_(folder) {}

  Companions read() {
    const auto config = json_of(kConfig);
    const bool decoded = config && config->contains(kDecoder) && !config->at(kDecoder).is_null();
    if (config) read_config(JsonNode(*config, file(kConfig), ""));
    if (const auto map = json_of(kMap)) read_map(JsonNode(*map, file(kMap), ""), decoded);
    if (const auto added = json_of(kAdded)) read_added(JsonNode(*added, file(kAdded), ""), decoded);
    std::sort(out_.stated.begin(), out_.stated.end(),
              [](const auto& a, const auto& b) { return a.token.id < b.token.id; });
    for (StatedToken& stated : out_.stated)
      if (is_named(stated.token.content)) stated.token.special = true;
    return std::move(out_);
  }

 private:
  std::string file(const char* name) const { return (folder_ / name).string(); }

  std::optional<nlohmann::json> json_of(const char* name) const {
    std::error_code unreadable;  // read_file says why
    if (!fs::exists(folder_ / name, unreadable)) return std::nullopt;
    nlohmann::json json = parse_json(read_file(folder_ / name), file(name));
    if (!json.is_object())
      throw InputError(BadInput{.file = file(name), .found = json.type_name(), .expected = "an object"});
    return json;
  }

  bool is_named(std::string_view content) const {
    const auto same = [&](const NamedToken& named) { return named.token.content == content; };
    return std::any_of(out_.named.begin(), out_.named.end(),
                       [&](const auto& row) { return same(row.second); }) ||
           std::any_of(out_.extra.begin(), out_.extra.end(), same);
  }

  NamedToken named_token(const JsonNode& node, const char* name, const std::string& key) const {
    NamedToken named{token_of(node), {file(name), key}};
    if (!named.token.special) named.token.normalized = false;
    named.token.special = true;
    return named;
  }

  void read_list(const JsonNode& list, const char* name, const std::string& key) {
    if (list.value().is_object()) {
      for (const auto& [part, value] : list.value().items())
        out_.extra.push_back(named_token(list.at(part), name, key + "." + part));
    } else {
      for (const JsonNode& node : list.elements()) out_.extra.push_back(named_token(node, name, key));
    }
  }

  void read_config(const JsonNode& config) {
    for (const auto& [key, value] : config.value().items()) {
      if (key == "bos_token") out_.has_bos = !value.is_null();
      if (key == "eos_token") out_.has_eos = !value.is_null();
      if (value.is_null() || key.starts_with("add_")) continue;
      if (is_list_key(key)) read_list(config.at(key), kConfig, key);
      if (key.ends_with("_token")) out_.named[key] = named_token(config.at(key), kConfig, key);
    }
    const auto flag = [&](const char* key) {
      const auto node = config.find(key);
      return node ? std::optional(node->boolean()) : std::nullopt;
    };
    out_.add_bos_token = flag("add_bos_token");
    out_.add_eos_token = flag("add_eos_token");
    out_.add_prefix_space = flag("add_prefix_space");
    out_.legacy = flag("legacy");
    if (const auto name = config.find("tokenizer_class")) out_.tokenizer_class = name->string();
    if (const auto decoder = config.find(kDecoder)) read_decoder(*decoder);
    for (const char* key : {"do_lower_case", "split_special_tokens", "strip_accents", "sp_model_kwargs"})
      if (const auto node = config.find(key); node && node->value() != false && !node->value().empty())
        out_.notes.push_back(file(kConfig) + ": " + key + " is not read");
  }

  void read_decoder(const JsonNode& decoder) {
    if (!decoder.value().is_object()) decoder.reject("an object of ids and tokens");
    for (const auto& [key, value] : decoder.value().items()) {
      const auto id = parse_number<int32_t>(key);
      if (!id || *id < 0)
        throw InputError(BadInput{.file = file(kConfig),
                                  .key = kDecoder,
                                  .found = "the key '" + printable(key) + "'",
                                  .expected = "ids, whole numbers from 0 to 2147483647"});
      StatedToken stated{token_of(decoder.at(key)), {file(kConfig), decoder.child_key(key)}};
      stated.token.id = *id;
      out_.stated.push_back(std::move(stated));
    }
  }

  void read_map(const JsonNode& map, bool decoded) {
    for (const auto& [key, value] : map.value().items()) {
      if (value.is_null()) continue;
      if (is_list_key(key)) {
        if (!decoded) read_list(map.at(key), kMap, key);
        continue;
      }
      if (!key.ends_with("_token")) continue;
      NamedToken named = named_token(map.at(key), kMap, key);
      const auto known = out_.named.find(key);
      if (!decoded) {
        if (key == "bos_token") out_.has_bos = true;
        if (key == "eos_token") out_.has_eos = true;
        out_.named[key] = std::move(named);
      } else if (known == out_.named.end() || known->second.token.content != named.token.content) {
        out_.notes.push_back(file(kMap) + ": " + key + " '" + printable(named.token.content) +
                             "' is not read, as tokenizer_config.json has " + kDecoder);
      }
    }
  }

  void read_added(const JsonNode& added, bool decoded) {
    for (const auto& [content, value] : added.value().items()) {
      if (content.empty()) added.reject("tokens of at least one character");
      const auto id = static_cast<int32_t>(JsonNode(value, file(kAdded), content).whole_number());
      if (!decoded) {
        const bool special = is_named(content);
        out_.stated.push_back({{.id = id, .content = content, .normalized = !special, .special = special},
                               {file(kAdded), content},
                               /*has_flags=*/false});
        continue;
      }
      const bool known = std::any_of(out_.stated.begin(), out_.stated.end(), [&](const StatedToken& stated) {
        return stated.token.content == content && stated.token.id == id;
      });
      if (!known)
        out_.notes.push_back(file(kAdded) + ": '" + printable(content) +
                             "' is not read, as tokenizer_config.json has " + kDecoder);
    }
  }

  const fs::path folder_;
  Companions out_;
};

[[noreturn]] void refuse(const Place& place, const std::string& found, const std::string& expected) {
  throw InputError(
      BadInput{.file = place.file, .key = printable(place.key), .found = found, .expected = expected});
}

// The ids of the tokens that a tokenizer has so far.
class TokenTable {
 public:
  TokenTable(const KnownTokens& known, std::vector<AddedToken>& added) : known_(known), added_(added) {}

  AddedToken* find(std::string_view content) {
    const auto found = std::find_if(added_.begin(), added_.end(),
                                    [&](const AddedToken& token) { return token.content == content; });
    return found == added_.end() ? nullptr : &*found;
  }
  std::optional<int32_t> id_of(std::string_view content) {
    if (const AddedToken* token = find(content)) return token->id;
    return known_.model_id(content);
  }
  // As the tokenizers library counts.
  int32_t next_id() const {
    auto next = static_cast<int32_t>(known_.model_size);
    for (const AddedToken& token : added_) next = std::max(next, token.id + 1);
    return next;
  }

  void state(const StatedToken& stated) {
    const AddedToken& token = stated.token;
    if (known_.names_are_guessed && !id_of(token.content))
      for (AddedToken& guessed : added_)
        if (guessed.id == token.id) return void(guessed = token);
    const auto id = id_of(token.content);
    if (id && *id != token.id)
      refuse(stated.place, "the id " + std::to_string(token.id),
             std::to_string(*id) + ", the id that it has in " + known_.file);
    if (!id && token.id != next_id())
      refuse(stated.place, "the id " + std::to_string(token.id),
             std::to_string(next_id()) + ", the next one behind the tokens of " + known_.file);
    AddedToken* there = find(token.content);
    if (!there) {
      added_.push_back(token);
    } else if (stated.has_flags) {
      *there = token;
    }
  }

  // False if there is no such token.
  bool name(const NamedToken& named) {
    if (find(named.token.content)) return true;
    const auto id = known_.model_id(named.token.content);
    if (!id) return false;
    added_.push_back(named.token);
    added_.back().id = *id;
    return true;
  }

 private:
  const KnownTokens& known_;
  std::vector<AddedToken>& added_;
};

}  // namespace

std::vector<fs::path> companion_files(const fs::path& tokenizer) {
  std::vector<fs::path> files;
  std::error_code unreadable;
  for (const char* name : {kConfig, kMap, kAdded})
    if (const fs::path file = tokenizer.parent_path() / name; fs::exists(file, unreadable))
      files.push_back(file);
  return files;
}

Companions read_companions(const fs::path& tokenizer) { return Reader(tokenizer.parent_path()).read(); }

void add_companions(Companions& companions, const KnownTokens& known, std::vector<AddedToken>& added) {
  TokenTable table(known, added);
  for (const StatedToken& stated : companions.stated) table.state(stated);
  std::vector<const NamedToken*> missing;
  for (const auto& [part, named] : companions.named) {
    if (table.name(named)) continue;
    if (part == "bos_token" || part == "eos_token")
      refuse(named.place, "\"" + printable(named.token.content) + "\"",
             "a token of the " + known.file + " beside it");
    missing.push_back(&named);
  }
  for (const NamedToken& named : companions.extra)
    if (!table.name(named)) missing.push_back(&named);
  if (missing.empty()) return;
  const NamedToken& first = *missing.front();
  companions.notes.push_back(first.place.file + ": " + std::to_string(missing.size()) +
                             " named special tokens are none of " + known.file +
                             " and are not added, as no id is told (first: " + first.place.key + " '" +
                             printable(first.token.content) + "')");
}

std::optional<int64_t> named_id(const Companions& companions, const std::string& part,
                                const std::vector<AddedToken>& added) {
  const auto named = companions.named.find(part);
  if (named == companions.named.end()) return std::nullopt;
  for (const AddedToken& token : added)
    if (token.content == named->second.token.content) return token.id;
  return std::nullopt;
}

}  // namespace attnlab::text
