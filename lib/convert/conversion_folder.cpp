#include "convert/conversion_folder.h"

#include <fmt/format.h>

#include "checkpoint/checkpoint_writer.h"
#include "checkpoint/safetensors.h"
#include "convert/conversion_json.h"
#include "core/errors.h"
#include "model/decoder_weights.h"

namespace attnlab {
namespace {

namespace fs = std::filesystem;

// What readers of the checkpoint want beside it.
constexpr std::array<const char*, 10> kTokenizerFiles{
    "tokenizer.json",          "tokenizer.model",     "tokenizer_config.json",
    "special_tokens_map.json", "vocab.json",          "merges.txt",
    "added_tokens.json",       "chat_template.jinja", "generation_config.json",
    "chat_template.json"};

constexpr std::array<const char*, 3> kTokenIds{"bos_token_id", "eos_token_id", "pad_token_id"};

// The first key that differs.
std::string difference(const nlohmann::ordered_json& mine, const nlohmann::ordered_json& theirs) {
  for (const auto& [key, value] : mine.items())
    if (!theirs.contains(key) || theirs[key] != value) return key;
  return "its settings";
}

}  // namespace

std::string stored_name(torch::ScalarType dtype) {
  return dtype == torch::kBFloat16 ? "bfloat16" : dtype == torch::kFloat16 ? "float16" : "float32";
}

ConversionFolder::ConversionFolder(fs::path out, nlohmann::ordered_json plan, torch::ScalarType stored)
    : out_(std::move(out)), work_(out_ / ".conversion"), plan_(std::move(plan)), stored_(stored) {
  const fs::path plan_file = work_ / "plan.json";
  const bool begun = fs::exists(plan_file);
  if (!begun && fs::exists(out_) && !(fs::is_directory(out_) && fs::is_empty(out_)) &&
      !(fs::exists(work_) && std::distance(fs::directory_iterator(out_), {}) == 1))
    throw InputError(BadInput{.file = "--out",
                              .found = fmt::format("{}, which is not empty", out_.string()),
                              .expected = "a new folder, or one where this conversion was interrupted"});
  std::error_code ignored;
  fs::create_directories(work_, ignored);
  lock_.emplace(work_ / "lock");
  if (!lock_->try_lock())
    throw RunError(fmt::format("{}: another process is converting into it", out_.string()));
  if (!begun) {
    write_file_atomic(plan_file, nlohmann::ordered_json{{"plan", plan_}}.dump(1));
    return;
  }
  const auto stored_plan = nlohmann::ordered_json::parse(read_file(plan_file));
  if (stored_plan.at("plan") != plan_)
    throw InputError(BadInput{.file = "--out",
                              .found = fmt::format("{}, begun with another {}", out_.string(),
                                                   difference(plan_, stored_plan.at("plan"))),
                              .expected = "the same settings as before, or another folder"});
  if (stored_plan.contains("settled")) settled_ = stored_plan.at("settled");
}

void ConversionFolder::settle(const nlohmann::ordered_json& options) {
  settled_ = options;
  write_file_atomic(work_ / "plan.json", nlohmann::ordered_json{{"plan", plan_}, {"settled", options}}.dump(1));
}

fs::path ConversionFolder::layer_file(int64_t layer) const {
  return work_ / fmt::format("layer-{:05}.safetensors", layer);
}

std::optional<ConversionStore::Position> ConversionFolder::position() {
  const fs::path file = work_ / "state.safetensors";
  if (!fs::exists(file)) return std::nullopt;
  const auto states = SafetensorsFile::open(file);
  Position position{.next_layer = std::stoll(states.metadata().at("next_layer")),
                    .facts = facts_from_json(nlohmann::json::parse(states.metadata().at("facts")))};
  for (const auto& name : states.names()) position.states[name] = states.tensor(name).clone();
  return position;
}

void ConversionFolder::put(int64_t layer, const TensorMap& tensors) {
  TensorMap stored;
  for (const auto& [name, tensor] : tensors)
    stored[name] = tensor.to(torch::kCPU, is_packed_part(name) ? tensor.scalar_type() : stored_).contiguous();
  write_safetensors(layer_file(layer), stored);
}

void ConversionFolder::save(const Position& position) {
  TensorMap states;
  for (const auto& [name, tensor] : position.states) states[name] = tensor.cpu();
  write_safetensors(work_ / "state.safetensors", states,
                    {{"next_layer", fmt::format("{}", position.next_layer)},
                     {"facts", facts_to_json(position.facts).dump()}});
}

void ConversionFolder::finish(const ModelForm& form, const Checkpoint& source,
                              const nlohmann::ordered_json& report) {
  auto config = write_model_form(form, stored_name(stored_));
  for (const char* key : kTokenIds)
    if (const auto found = source.config().find(key); found != source.config().end()) config[key] = *found;
  for (const char* name : kTokenizerFiles)
    if (fs::exists(source.folder() / name)) write_file_atomic(out_ / name, read_file(source.folder() / name));
  CheckpointWriter writer(out_);
  for (const auto& [name, tensor] : outer_) writer.add(name, tensor.to(torch::kCPU, stored_));
  for (int64_t layer = 0; layer < form.config.n_layers; ++layer) {
    const auto file = SafetensorsFile::open(layer_file(layer));
    TensorMap named;
    for (const auto& name : file.names())
      named[fmt::format("model.layers.{}.{}", layer, name)] = file.tensor(name);
    for (const auto& [name, tensor] : to_file_tensors(form, named)) writer.add(name, tensor);
  }
  if (form.packing)
    write_file_atomic(out_ / "quantize_config.json", write_matrix_packing(*form.packing).dump(1) + "\n");
  write_file_atomic(out_ / "conversion.json", report.dump(1) + "\n");
  writer.finish(config);
  fs::remove_all(work_);
}

}  // namespace attnlab
