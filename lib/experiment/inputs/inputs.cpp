#include "experiment/inputs/inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "checkpoint/checkpoint.h"
#include "checkpoint/end_ids.h"
#include "checkpoint/foreign_weights.h"
#include "core/add_once.h"
#include "core/files.h"
#include "core/hub_cache.h"
#include "model/decoder_weights.h"
#include "model/families/families.h"

namespace attnlab {
namespace fs = std::filesystem;
namespace {

std::optional<int64_t> id_of(const Tokenizer& tokenizer, const std::string& token, const char* key) {
  if (token.empty()) return std::nullopt;
  if (const auto id = tokenizer.token_id(token)) return id;
  throw InputError(BadInput{
      .key = key, .found = "'" + token + "'", .expected = "a token of the tokenizer, as its file spells it"});
}

// Arms are made from a family's own attention.
DecoderConfig read_base_config(const Checkpoint& checkpoint) {
  const auto form = read_checkpoint_form(checkpoint);
  if (form.packing)
    throw InputError(
        BadInput{.key = "base.path",
                 .found = fmt::format("{}, whose weights are quantised to {} bits",
                                      checkpoint.folder().string(), form.packing->bits),
                 .expected = "the checkpoint that they were made from: packed integers can't be trained"});
  if (is_native(form)) return form.config;
  throw InputError(BadInput{
      .key = "base.path",
      .found =
          fmt::format("{}, whose attention was converted to {}", checkpoint.folder().string(), form_name(form)),
      .expected = fmt::format("a checkpoint with the attention of its family (model_type {})",
                              name_of(form.config.family))});
}

fs::path base_folder(const Plan& plan, const BaseConfig& config) {
  const fs::path path = resolve_path(plan, config.path), folder = find_model_folder(path);
  if (fs::is_directory(folder)) return folder;
  BadInput problem = no_folder_problem(path);
  throw InputError(BadInput{.key = "base.path",
                            .found = "'" + config.path + "': " + problem.found,
                            .expected = problem.expected,
                            .nearest = problem.nearest});
}

void read_checkpoint(const Plan& plan, const BaseConfig& config, Base& base) {
  const auto checkpoint = Checkpoint::open(base_folder(plan, config));
  base.config = read_base_config(checkpoint);
  base.weights = read_base_weights(checkpoint, base.config);
  base.weights_sha256 = checkpoint.weights_sha256();
  base.bos_id = begin_id(checkpoint);
  base.stop_ids = end_ids(checkpoint);
  base.eos_id = base.stop_ids.empty() ? -1 : base.stop_ids.front();
  base.notes = checkpoint.notes();
}

void make_random(const BaseConfig& config, Base& base) {
  base.config = *config.init;
  if (auto problem = decoder_problem(base.config)) {
    problem->key = "base.init." + problem->key;
    throw InputError(*problem);
  }
  base.weights = random_base_weights(base.config, static_cast<uint64_t>(config.init_seed));
  base.weights_sha256 = fmt::format("random, seed {}", config.init_seed);
  base.eos_id = -1;
}

void check_tokens(const Base& base) {
  if (base.eos_id < 0)
    throw InputError(BadInput{.key = "base.eos_token",
                              .found = "nothing",
                              .expected = "the token that ends a document (the checkpoint names none)"});
  if (base.tokenizer->vocab_size() > base.config.vocab_size)
    throw InputError(BadInput{.key = "base.tokenizer",
                              .found = fmt::format("{} tokens", base.tokenizer->vocab_size()),
                              .expected = fmt::format("at most the model's {}", base.config.vocab_size)});
  const int64_t begin = base.bos_id.value_or(0);
  if (std::max(base.eos_id, begin) >= base.config.vocab_size)
    throw InputError(BadInput{.key = begin > base.eos_id ? "bos_token_id" : "eos_token_id",
                              .found = fmt::format("{}", std::max(base.eos_id, begin)),
                              .expected = fmt::format("one of the model's {} tokens", base.config.vocab_size)});
}

}  // namespace

std::shared_ptr<const Base> load_base(const Plan& plan, const BaseConfig& config) {
  if (config.path.empty() == !config.init.has_value())
    throw InputError(BadInput{.key = "base",
                              .found = config.init ? "path and init" : "neither path nor init",
                              .expected = "path (a checkpoint) or init (random weights)"});
  auto base = std::make_shared<Base>();
  if (config.init) {
    make_random(config, *base);
  } else {
    read_checkpoint(plan, config, *base);
  }
  const std::string named = config.tokenizer.empty() ? config.path : config.tokenizer;
  if (named.empty())
    throw InputError(
        BadInput{.key = "base.tokenizer", .found = "nothing", .expected = "a tokenizer (init has none)"});
  const fs::path file = Tokenizer::file_of(resolve_path(plan, named));
  base->tokenizer = std::make_shared<Tokenizer>(Tokenizer::load(file));
  base->tokenizer_file = file.string();
  base->tokenizer_sha256 = Tokenizer::sha256_of(file);
  if (const auto id = id_of(*base->tokenizer, config.bos_token, "base.bos_token")) base->bos_id = id;
  if (const auto id = id_of(*base->tokenizer, config.eos_token, "base.eos_token")) base->eos_id = *id;
  if (base->eos_id < 0) base->eos_id = base->tokenizer->eos_id().value_or(-1);
  check_tokens(*base);
  return base;
}

namespace {

std::string sample_hash(const Dataset& dataset) {
  std::string text;
  for (int64_t i = 0; i < std::min<int64_t>(dataset.size(), 1000); ++i) {
    const Example example = dataset.get(i);
    text += example.prompt + '\0' + example.answer + '\0';
  }
  return sha256(text);
}

DataConfig resolved(const Plan& plan, DataConfig config, const std::string& key) {
  if (!config.path.empty()) config.path = existing_path(plan, config.path, key + ".path").string();
  if (!config.heldout_path.empty())
    config.heldout_path = existing_path(plan, config.heldout_path, key + ".heldout_path").string();
  for (size_t i = 0; i < config.mixture.size(); ++i)
    config.mixture[i].source = resolved(plan, config.mixture[i].source, fmt::format("{}.mixture.{}", key, i));
  return config;
}

std::string files_hash(const DataConfig& config) {
  if (is_generated(config.kind)) return "generated";
  std::string hash = sha256_tree(config.path);
  if (!config.heldout_path.empty()) hash += ", held-out " + sha256_tree(config.heldout_path);
  return hash;
}

std::string data_hash(const DataConfig& config, const Dataset& train) {
  std::string hash;
  for (const MixturePart& part : config.mixture) hash += (hash.empty() ? "" : "; ") + files_hash(part.source);
  if (!hash.empty()) return hash + "; first 1000 examples " + sample_hash(train);
  return is_generated(config.kind) ? "first 1000 examples " + sample_hash(train) : files_hash(config);
}

}  // namespace

std::shared_ptr<const Data> load_data(const Plan& plan, const DataConfig& config) {
  const DataConfig found = resolved(plan, config, "data");
  auto data = std::make_shared<Data>();
  data->train = open_dataset(found, Split::train);
  data->heldout = open_dataset(found, Split::valid);
  data->sha256 = data_hash(found, *data->train);
  return data;
}

std::shared_ptr<const Base> Inputs::base(const BaseConfig& config) {
  if (!base_config_ || !fields_equal(*base_config_, config)) {
    base_ = load_base(plan_, config);
    for (const auto& notes : {base_->notes, base_->tokenizer->notes()})
      for (const auto& note : notes) add_once(notes_, note);
  }
  base_config_ = config;
  return base_;
}

std::shared_ptr<const Data> Inputs::data(const DataConfig& config) {
  if (!data_config_ || !fields_equal(*data_config_, config)) {
    data_ = load_data(plan_, config);
    for (const auto& dataset : {data_->train, data_->heldout})
      for (const auto& note : dataset->notes()) add_once(notes_, note);
  }
  data_config_ = config;
  return data_;
}

namespace {

// The tokens of a chat format that a tokenizer lacks fall into pieces: learnt like any text, but not what
// models of that format were trained on.
void note_foreign_chat_formats(const DataConfig& data, const Tokenizer& tokenizer,
                               std::vector<std::string>& notes) {
  std::vector<DataConfig> sources;
  for (const MixturePart& part : data.mixture) sources.push_back(part.source);
  if (sources.empty()) sources.push_back(data);
  for (const DataConfig& source : sources) {
    const auto format = chat_format_of(template_for(source, source.kind));
    if (!format) continue;
    const std::string end = stop_tokens(*format).front();
    if (!tokenizer.token_id(end))
      add_once(notes, fmt::format("the tokenizer has no {}, which ends a turn of {}: it is learnt in pieces",
                                  end, name_of(*format)));
  }
}

}  // namespace

std::shared_ptr<const BatchStream> Inputs::stream(const RunConfig& config) {
  const auto base = this->base(config.base);
  const auto data = this->data(config.data);
  const BatchConfig batches = batch_config(config, *base);
  FlatFields key = flatten(config.base);
  for (auto& field : flatten(config.data)) key.push_back(std::move(field));
  key.emplace_back("seed", config.seed);
  key.emplace_back("shape",
                   std::vector<int64_t>{batches.batch_size, batches.micro_batches, batches.sequence_length,
                                        static_cast<int64_t>(batches.packing), batches.loss_on_prompt});
  if (!stream_ || stream_key_ != key) {
    std::optional<TokenCache> cache;
    if (token_folder_) cache = {.folder = *token_folder_, .tokenizer_sha256 = base->tokenizer_sha256};
    stream_ = std::make_shared<const BatchStream>(data->train, base->tokenizer, batches,
                                                  static_cast<uint64_t>(config.seed), BatchStream::lazy_above,
                                                  cache ? &*cache : nullptr);
    for (auto& note : stream_->notes()) notes_.push_back(std::move(note));
    note_foreign_chat_formats(config.data, *base->tokenizer, notes_);
  }
  stream_key_ = std::move(key);
  return stream_;
}

FlatFields training_facts(const Data& data, const BatchStream& stream) {
  FlatFields facts{{"train_examples", data.train->size()}};
  if (stream.tokens_per_epoch() == 0) return facts;
  facts.emplace_back("train_tokens", stream.tokens_per_epoch());
  facts.emplace_back("truncated_examples", stream.truncated_examples());
  facts.emplace_back("truncated_tokens", stream.truncated_tokens());
  return facts;
}

std::string describe_training(const RunConfig& config, const Data& data, const BatchStream& stream) {
  const int64_t tokens = stream.tokens_per_epoch(), longer = stream.truncated_examples();
  if (tokens == 0) return "";
  std::string text = fmt::format("training data: {} examples, {} tokens", data.train->size(), tokens);
  if (config.train.packing == Packing::stream) return text;
  text += fmt::format("; {} longer than a row of {}", longer, config.train.sequence_length);
  if (longer == 0) return text;
  if (config.train.packing == Packing::isolated) return text + ", cut into pieces";
  return text +
         fmt::format(", {} tokens ({:.2g} %) cut off", stream.truncated_tokens(),
                     100.0 * static_cast<double>(stream.truncated_tokens()) / static_cast<double>(tokens));
}

std::optional<fs::path> token_folder() {
  const char* named = std::getenv("ATTNLAB_TOKEN_CACHE");
  if (named && *named != '\0')
    return std::string(named) == "off" ? std::nullopt : std::optional<fs::path>(named);
  const char* home = std::getenv("HOME");
  if (!home || *home == '\0') return std::nullopt;
  return fs::path(home) / ".cache/attnlab/tokens";
}

BatchConfig batch_config(const RunConfig& config, const Base& base) {
  return {.batch_size = config.train.batch_size,
          .micro_batches = config.train.micro_batches,
          .sequence_length = config.train.sequence_length,
          .packing = config.train.packing,
          .loss_on_prompt = config.train.loss_on_prompt,
          .bos_id = base.bos_id,
          .eos_id = base.eos_id,
          .pad_id = base.eos_id};
}

}  // namespace attnlab
