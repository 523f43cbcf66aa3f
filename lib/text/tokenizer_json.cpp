#include "text/tokenizer_json.h"

#include <functional>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <unordered_set>

#include "core/names.h"
#include "text/tokenizer_model_json.h"

namespace attnlab::text {
namespace {

// Calls `read` on a single component, on each component of a Sequence, or not at all for null.
void for_each_step(const std::optional<JsonNode>& node, std::string_view list,
                   const std::function<void(const JsonNode&)>& read, int depth = 0) {
  if (!node) return;
  const auto type = node->find("type");
  if (!type || type->value() != "Sequence") return read(*node);
  if (depth == deepest_sequence) node->reject(too_deep);
  node->only({"type", list});
  for (const JsonNode& step : node->at(list).elements()) for_each_step(step, list, read, depth + 1);
}

NormalizerStep read_normalizer_step(const JsonNode& step) {
  const std::string type =
      step.type({"NFC", "NFD", "NFKC", "NFKD", "Prepend", "Replace", "Lowercase", "Strip", "Sequence"});
  if (type == "Prepend") {
    step.only({"type", "prepend"});
    return PrependStep{step.at("prepend").string()};
  }
  if (type == "Replace") {
    step.only({"type", "pattern", "content"});
    return ReplaceStep{read_pattern(step.at("pattern")), step.at("content").string()};
  }
  if (type == "Strip") {
    step.only({"type", "strip_left", "strip_right"});
    return StripStep{.left = step.flag("strip_left", true), .right = step.flag("strip_right", true)};
  }
  step.only({"type"});
  if (type == "Lowercase") return LowercaseStep{};
  if (type == "NFC") return NormalForm::NFC;
  if (type == "NFD") return NormalForm::NFD;
  return type == "NFKC" ? NormalForm::NFKC : NormalForm::NFKD;
}

template <NamedEnum E>
E read_name(const JsonNode& node) {
  if (const auto value = from_name<E>(node.string())) return *value;
  node.reject(one_of(all_names<E>(), node.string()), nearest_name(node.string(), all_names<E>()));
}

// The replacement, which stands for one space, is a single character.
std::string read_replacement(const JsonNode& node) {
  const std::string& text = node.string();
  if (text.empty() || valid_char_length(text) != text.size()) node.reject("one character");
  return text;
}

// Files of before 2024 say add_prefix_space instead of prepend_scheme.
PrependScheme read_prepend_scheme(const JsonNode& step) {
  const bool wanted = step.flag("add_prefix_space", true);
  const auto scheme = step.find("prepend_scheme");
  if (!scheme) return wanted ? PrependScheme::always : PrependScheme::never;
  const auto value = read_name<PrependScheme>(*scheme);
  if (!wanted && value != PrependScheme::never) scheme->reject("\"never\", as add_prefix_space is false");
  return value;
}

MetaspaceStep read_metaspace(const JsonNode& step) {
  step.only({"type", "replacement", "str_rep", "add_prefix_space", "prepend_scheme", "split"});
  return {.replacement = read_replacement(step.at("replacement")),
          .prepend = read_prepend_scheme(step),
          .split = step.flag("split", true)};
}

ByteLevelStep read_byte_level(const JsonNode& step) {
  step.only({"type", "add_prefix_space", "trim_offsets", "use_regex"});
  ByteLevelStep out{.add_prefix_space = step.flag("add_prefix_space", true)};
  if (step.flag("use_regex", true)) out.pattern = Pattern::regex(byte_level_expression());
  return out;
}

PreTokenizerStep read_pre_tokenizer_step(const JsonNode& step) {
  const std::string type = step.type({"Split", "ByteLevel", "Metaspace", "Digits", "Punctuation", "Whitespace",
                                      "WhitespaceSplit", "Sequence"});
  if (type == "ByteLevel") return read_byte_level(step);
  if (type == "Metaspace") return read_metaspace(step);
  if (type == "Digits") {
    step.only({"type", "individual_digits"});
    return digits_step(step.flag("individual_digits", false));
  }
  if (type == "Punctuation") {
    step.only({"type", "behavior"});
    const auto behavior = step.find("behavior");
    return punctuation_step(behavior ? read_name<SplitBehavior>(*behavior) : SplitBehavior::isolated);
  }
  if (type == "Whitespace" || type == "WhitespaceSplit") {
    step.only({"type"});
    return type == "Whitespace" ? whitespace_step() : whitespace_split_step();
  }
  step.only({"type", "pattern", "behavior", "invert"});
  return SplitStep{.pattern = read_pattern(step.at("pattern")),
                   .behavior = read_name<SplitBehavior>(step.at("behavior")),
                   .invert = step.flag("invert", false)};
}

DecoderStep read_decoder_step(const JsonNode& step) {
  const std::string type =
      step.type({"ByteLevel", "ByteFallback", "Fuse", "Replace", "Strip", "Metaspace", "Sequence"});
  if (type == "ByteLevel") {
    step.only({"type", "add_prefix_space", "trim_offsets", "use_regex"});
    return ByteLevelDecoder{};
  }
  if (type == "Replace") {
    step.only({"type", "pattern", "content"});
    return ReplaceDecoder{read_pattern(step.at("pattern")), step.at("content").string()};
  }
  if (type == "Strip") {
    step.only({"type", "content", "start", "stop"});
    return StripDecoder{.character = read_replacement(step.at("content")),
                        .start = static_cast<size_t>(step.at("start").whole_number()),
                        .stop = static_cast<size_t>(step.at("stop").whole_number())};
  }
  if (type == "Metaspace") {
    const MetaspaceStep metaspace = read_metaspace(step);
    return MetaspaceDecoder{metaspace.replacement, metaspace.prepend != PrependScheme::never};
  }
  step.only({"type"});
  if (type == "ByteFallback") return ByteFallbackDecoder{};
  return FuseDecoder{};
}

}  // namespace

Pattern read_pattern(const JsonNode& pattern) {
  pattern.only({"String", "Regex"});
  const auto literal = pattern.find("String");
  const auto regex = pattern.find("Regex");
  if (literal.has_value() == regex.has_value()) pattern.reject("either \"String\" or \"Regex\"");
  const JsonNode& text = literal ? *literal : *regex;
  try {
    return literal ? Pattern::literal(text.string()) : Pattern::regex(text.string());
  } catch (const std::invalid_argument& error) {
    text.reject(std::string("a pattern without what is not supported: ") + error.what());
  }
}

Normalizer read_normalizer(const std::optional<JsonNode>& node) {
  Normalizer out;
  for_each_step(node, "normalizers",
                [&](const JsonNode& step) { out.steps.push_back(read_normalizer_step(step)); });
  return out;
}

PreTokenizer read_pre_tokenizer(const std::optional<JsonNode>& node) {
  PreTokenizer out;
  for_each_step(node, "pretokenizers",
                [&](const JsonNode& step) { out.steps.push_back(read_pre_tokenizer_step(step)); });
  return out;
}

std::optional<Decoder> read_decoder(const std::optional<JsonNode>& node) {
  if (!node) return std::nullopt;
  Decoder out;
  for_each_step(node, "decoders", [&](const JsonNode& step) { out.steps.push_back(read_decoder_step(step)); });
  return out;
}

namespace {

// Ids index embedding rows.
void require_tokens(const JsonNode& node, const Template& around, const Bpe& model,
                    const std::vector<AddedToken>& added) {
  std::unordered_set<int64_t> known;
  for (const AddedToken& token : added) known.insert(token.id);
  for (const auto& [surface, id] : model.vocabulary()) known.insert(id);
  for (const auto* side : {&around.before, &around.after})
    for (const int64_t id : *side)
      if (!known.contains(id)) node.reject("ids of tokens; there is none with the id " + std::to_string(id));
}

}  // namespace

TokenizerParts read_tokenizer(const JsonNode& root) {
  root.only({"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer",
             "post_processor", "decoder", "model"});
  std::vector<std::string> notes;
  for (const char* name : {"truncation", "padding"}) {
    const auto setting = root.find(name);
    if (!setting) continue;
    if (!setting->value().is_object()) setting->reject("an object or null");
    notes.push_back(root.file() + ": its " + name + " is not applied: texts are neither cut nor padded");
  }
  Bpe model = read_model(root.at("model"));
  std::vector<AddedToken> added = read_added_tokens(root.find("added_tokens"), model);
  const auto post_processor = root.find("post_processor");
  Template around = read_post_processor(post_processor);
  if (!around.before.empty() || !around.after.empty()) require_tokens(*post_processor, around, model, added);
  return {.normalizer = read_normalizer(root.find("normalizer")),
          .pre_tokenizer = read_pre_tokenizer(root.find("pre_tokenizer")),
          .model = std::move(model),
          .added_tokens = std::move(added),
          .around = std::move(around),
          .decoder = read_decoder(root.find("decoder")),
          .bos_id = {},
          .eos_id = {},
          .notes = std::move(notes)};
}

}  // namespace attnlab::text
