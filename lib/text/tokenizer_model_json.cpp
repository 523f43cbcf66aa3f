#include "text/tokenizer_model_json.h"

// The parts of tokenizer.json that hold ids: model, added tokens, post-processor.
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "core/errors.h"

namespace attnlab::text {
namespace {

int32_t read_id(const JsonNode& node) { return static_cast<int32_t>(node.whole_number()); }

Vocabulary read_vocabulary(const JsonNode& node) {
  if (!node.value().is_object() || node.value().empty()) node.reject("an object of tokens and ids");
  const uint64_t limit = std::min<uint64_t>(node.value().size(), 1 << 24);
  Vocabulary vocabulary;
  vocabulary.reserve(node.value().size());
  std::unordered_set<int32_t> seen;
  seen.reserve(node.value().size());
  for (const auto& [token, value] : node.value().get_ref<const nlohmann::json::object_t&>()) {
    if (token.empty()) node.reject("no empty token");
    if (!value.is_number_unsigned()) read_id(node.at(token));  // says what is wrong
    const auto id = value.get<uint64_t>();
    // Ids index embedding rows; one far beyond the number of tokens is a slip, not a gap.
    if (id > 16 * limit + 65536)
      node.at(token).reject("an id near the number of tokens, " + std::to_string(limit));
    if (!seen.insert(static_cast<int32_t>(id)).second) node.at(token).reject("an id that no other token has");
    vocabulary.emplace(token, static_cast<int32_t>(id));
  }
  return vocabulary;
}

struct MergeNames {
  std::string_view left, right;
};

// "a b", or ["a", "b"] since 2024.
std::optional<MergeNames> read_merge(const nlohmann::json& value) {
  const auto text_of = [](const nlohmann::json& text) {
    return std::string_view(text.get_ref<const std::string&>());
  };
  if (value.is_array() && value.size() == 2 && value[0].is_string() && value[1].is_string())
    return MergeNames{text_of(value[0]), text_of(value[1])};
  if (!value.is_string()) return std::nullopt;
  const std::string_view text = text_of(value);
  const size_t space = text.find(' ');
  if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos)
    return std::nullopt;
  return MergeNames{text.substr(0, space), text.substr(space + 1)};
}

void read_merges(const JsonNode& merges, Bpe& model) {
  if (!merges.value().is_array()) merges.reject("an array");
  std::string concatenation;
  int32_t rank = 0;
  for (const nlohmann::json& value : merges.value()) {
    const auto reject = [&](const char* expected) {
      merges.elements()[static_cast<size_t>(rank)].reject(expected);
    };
    const auto names = read_merge(value);
    if (!names) reject("two tokens, as \"a b\" or [\"a\", \"b\"]");
    concatenation.assign(names->left).append(names->right);
    const auto left = model.id(names->left);
    const auto right = model.id(names->right);
    const auto merged = model.id(concatenation);
    if (!left || !right || !merged) reject("two tokens that are in the vocabulary, as is their concatenation");
    model.add_merge(*left, *right, {rank++, *merged});
  }
}

void require_no_affixes(const JsonNode& model) {
  for (const char* name : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (const auto affix = model.find(name); affix && !affix->string().empty()) affix->reject("null or \"\"");
  if (const auto dropout = model.find("dropout"); dropout && dropout->value() != 0)
    dropout->reject("null or 0");
}

// The ids that a template's special token stands for.
std::vector<int64_t> template_ids(const JsonNode& piece, const JsonNode& special_tokens) {
  piece.only({"id", "type_id"});
  const JsonNode entry = special_tokens.at(piece.at("id").string());
  entry.only({"id", "ids", "tokens"});
  std::vector<int64_t> ids;
  for (const JsonNode& id : entry.at("ids").elements()) ids.push_back(id.whole_number());
  return ids;
}

Template read_template(const JsonNode& node) {
  node.only({"type", "single", "pair", "special_tokens"});
  const JsonNode single = node.at("single");
  Template out;
  int sequences = 0;
  for (const JsonNode& piece : single.elements()) {
    piece.only({"SpecialToken", "Sequence"});
    if (const auto special = piece.find("SpecialToken")) {
      auto& side = sequences ? out.after : out.before;
      const auto ids = template_ids(*special, node.at("special_tokens"));
      side.insert(side.end(), ids.begin(), ids.end());
    } else {
      const JsonNode id = piece.at("Sequence").at("id");
      if (id.string() != "A") id.reject("\"A\"");
      ++sequences;
    }
  }
  if (sequences != 1) single.reject("exactly one \"Sequence\"");
  return out;
}

}  // namespace

AddedToken read_added_token(const JsonNode& node) {
  const bool special = node.flag("special", false);
  AddedToken token{.content = node.at("content").string(),
                   .single_word = node.flag("single_word", false),
                   .lstrip = node.flag("lstrip", false),
                   .rstrip = node.flag("rstrip", false),
                   .normalized = node.flag("normalized", !special),
                   .special = special};
  if (token.content.empty()) node.at("content").reject("at least one character");
  return token;
}

Bpe read_model(const JsonNode& node) {
  node.only({"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
             "byte_fallback", "ignore_merges", "vocab", "merges"});
  // Files of before 2021 don't name the type; merges are BPE's alone.
  if (node.find("type") || !node.find("merges")) node.type({"BPE"});
  require_no_affixes(node);
  Vocabulary vocabulary = read_vocabulary(node.at("vocab"));
  BpeOptions options{.fuse_unk = node.flag("fuse_unk", false),
                     .byte_fallback = node.flag("byte_fallback", false),
                     .ignore_merges = node.flag("ignore_merges", false)};
  if (const auto unk = node.find("unk_token")) {
    const auto found = vocabulary.find(unk->string());
    if (found == vocabulary.end()) unk->reject("a token of the vocabulary");
    options.unk_id = found->second;
  }
  Bpe model(std::move(vocabulary), options);
  read_merges(node.at("merges"), model);
  return model;
}

std::vector<AddedToken> read_added_tokens(const std::optional<JsonNode>& node, const Bpe& model) {
  std::vector<AddedToken> out;
  if (!node) return out;
  std::unordered_map<int32_t, std::string_view> owner;  // of each id
  std::unordered_set<std::string_view> contents;
  size_t largest = 0;
  owner.reserve(model.vocabulary().size());
  for (const auto& [token, id] : model.vocabulary()) {
    owner.emplace(id, token);
    largest = std::max(largest, static_cast<size_t>(id));
  }
  for (const JsonNode& entry : node->elements()) {
    entry.only({"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
    const int32_t id = read_id(entry.at("id"));
    AddedToken token = read_added_token(entry);
    token.id = id;
    const auto known = model.id(token.content);
    if (known && *known != token.id)
      entry.at("id").reject("the token's id in model.vocab, " + std::to_string(*known));
    if (static_cast<size_t>(token.id) > largest + node->value().size() + 65536)
      entry.at("id").reject("an id near the vocabulary's end, " + std::to_string(largest));
    const auto [taken, is_new] = owner.emplace(token.id, entry.at("content").string());
    if (!is_new && taken->second != token.content) entry.at("id").reject("an id that no other token has");
    if (!contents.insert(entry.at("content").string()).second)
      entry.at("content").reject("a token that is not there twice");
    out.push_back(std::move(token));
  }
  return out;
}

Template read_post_processor(const std::optional<JsonNode>& node, int depth) {
  if (!node) return {};
  const std::string type = node->type({"TemplateProcessing", "ByteLevel", "Sequence"});
  if (type == "TemplateProcessing") return read_template(*node);
  if (type == "ByteLevel") {  // concerns offsets alone
    node->only({"type", "add_prefix_space", "trim_offsets", "use_regex"});
    return {};
  }
  if (depth == deepest_sequence) node->reject(too_deep);
  node->only({"type", "processors"});
  Template out;
  for (const JsonNode& step : node->at("processors").elements()) {
    const Template outer = read_post_processor(step, depth + 1);
    out.before.insert(out.before.begin(), outer.before.begin(), outer.before.end());
    out.after.insert(out.after.end(), outer.after.begin(), outer.after.end());
  }
  return out;
}

}  // namespace attnlab::text
