#include "model/surplus_tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "attention/rotary.h"
#include "core/json.h"
#include "core/numbers.h"
#include "model/families/families.h"

namespace attnlab {
namespace {

using Names = std::vector<std::string>;

// What a name says of a tensor that the model has no parameter for.
enum class Kind { tied, frequencies, rotary_table, cache_scale, further_layer, unknown };

constexpr const char* kLayerPrefix = "model.layers.";

bool ends_with_any(const std::string& name, std::initializer_list<const char*> endings) {
  return std::any_of(endings.begin(), endings.end(), [&](const char* end) { return name.ends_with(end); });
}

// The N of "model.layers.N.…".
std::optional<int64_t> layer_of(const std::string& name) {
  if (!name.starts_with(kLayerPrefix)) return std::nullopt;
  const std::string_view rest = std::string_view(name).substr(std::string_view(kLayerPrefix).size());
  return parse_number<int64_t>(rest.substr(0, rest.find('.')));
}

// Of an fp8 cache, as vLLM, llm-compressor and NVIDIA's ModelOpt name them.
bool is_cache_scale(const std::string& name) {
  return name.find(".self_attn.") != std::string::npos &&
         ends_with_any(name,
                       {".k_scale", ".v_scale", ".kv_scale", ".q_scale", ".prob_scale", ".k_proj.output_scale",
                        ".v_proj.output_scale", ".k_zero_point", ".v_zero_point"});
}

class Judge {
 public:
  // `needed`: sorted.
  Judge(const Checkpoint& checkpoint, const DecoderConfig& config, const Names& needed)
      : checkpoint_(checkpoint), config_(config), needed_(needed) {
    for (const auto& name : checkpoint.names())
      if (const auto layer = layer_of(name); layer && name.ends_with(".eh_proj.weight"))
        further_layers_.insert(*layer);
  }

  Kind kind(const std::string& name) const {
    if (config_.tie_embeddings && (name == place_of_output() || name == place_of_embedding()))
      return Kind::tied;
    if (name.ends_with("rotary_emb.inv_freq")) return Kind::frequencies;
    if (ends_with_any(name, {"rotary_emb.cos_cached", "rotary_emb.sin_cached", "rotary_emb.original_inv_freq"}))
      return Kind::rotary_table;
    if (is_cache_scale(name)) return Kind::cache_scale;
    const auto layer = layer_of(name);
    if (layer && *layer >= config_.n_layers && further_layers_.count(*layer) > 0) return Kind::further_layer;
    return Kind::unknown;
  }

  // Counts one that is there.
  void pass(const std::string& name) {
    const Kind what = kind(name);
    if (what == Kind::unknown) refuse(name);
    if (what == Kind::tied && !checkpoint_.same_numbers(place_of_embedding(), name))
      throw InputError(BadInput{.file = checkpoint_.folder().string(),
                                .key = name,
                                .found = "other numbers than those of " + place_of_embedding(),
                                .expected = "the same, as tie_word_embeddings says"});
    if (what == Kind::tied || (what == Kind::frequencies && are_ours(name))) return;
    passed_[what].push_back(name);
  }

  void report() const {
    for (const auto& [kind, names] : passed_)
      checkpoint_.note(fmt::format("{}: {} ({}{}): {}", checkpoint_.folder().string(), printable(names.front()),
                                   names.size(), names.size() == 1 ? " tensor" : " tensors like it",
                                   meaning(kind)));
  }

 private:
  std::string place_of_embedding() const { return file_tensor(config_, kEmbeddingTensor).name; }
  std::string place_of_output() const { return file_tensor(config_, kOutputTensor).name; }
  static const char* meaning(Kind kind) {
    switch (kind) {
      case Kind::frequencies:
        return "rotary frequencies that are not those of config.json, which are used";
      case Kind::rotary_table:
        return "tables of rotary position; those that config.json says are used";
      case Kind::cache_scale:
        return "scales of a cache in fp8, which is not used here";
      case Kind::further_layer:
        return "layers that predict further tokens (num_nextn_predict_layers), which are not used";
      default:
        return "not used";
    }
  }

  // The frequencies that config.json says, within what the file's element type can tell. They come from tables
  // at position 1, where the angle is the frequency.
  bool are_ours(const std::string& name) {
    const auto found = checkpoint_.tensor(name);
    if (!at::isFloatingType(found.scalar_type())) return false;
    if (!frequencies_.defined()) {
      const Rotary rotary(config_.turning_dim(), config_.rope_theta, config_.rope_scaling);
      const auto tables = rotary.tables(torch::ones({1, 1}, torch::kInt64), {}, torch::kFloat32);
      const auto angles = torch::atan2(tables.sin_BTH, tables.cos_BTH).flatten().to(torch::kFloat64);
      frequencies_ = angles.narrow(0, 0, config_.turning_dim() / 2);
    }
    if (found.numel() != frequencies_.numel()) return false;
    const auto type = found.scalar_type();
    const double epsilon = type == torch::kBFloat16 ? 0x1p-7 : type == torch::kHalf ? 0x1p-10 : 1e-5;
    const auto distance = (found.flatten().to(torch::kFloat64) - frequencies_).abs();
    return (distance <= frequencies_ * epsilon + (type == torch::kHalf ? 0x1p-24 : 0.0)).all().item<bool>();
  }

  [[noreturn]] void refuse(const std::string& name) const {
    std::string expected = "only tensors that config.json implies";
    const auto layer = layer_of(name);
    if (layer && *layer >= config_.n_layers)
      expected = fmt::format("the {} layers that num_hidden_layers says", config_.n_layers);
    if (ends_with_any(name, {"weight_scale", "weight_scale_inv", "input_scale", "qweight", "qzeros", ".scales",
                             ".g_idx", ".absmax", ".quant_map", ".weight_packed"}))
      expected = "weights that are not quantised";
    throw InputError(BadInput{.file = checkpoint_.folder().string(),
                              .key = printable(name),
                              .found = "a tensor that the model does not have",
                              .expected = expected,
                              .nearest = nearest_printable(name, needed_)});
  }

  const Checkpoint& checkpoint_;
  const DecoderConfig& config_;
  const Names& needed_;
  std::set<int64_t> further_layers_;
  std::map<Kind, Names> passed_;
  torch::Tensor frequencies_;
};

}  // namespace

bool has_own_output(const Checkpoint& checkpoint, const DecoderConfig& config) {
  const auto embedding = file_tensor(config, kEmbeddingTensor).name,
             output = file_tensor(config, kOutputTensor).name;
  return config.tie_embeddings && checkpoint.has(output) && checkpoint.has(embedding) &&
         !checkpoint.same_numbers(embedding, output);
}

void check_surplus(const Checkpoint& checkpoint, const DecoderConfig& config, const Names& needed,
                   const Names& surplus) {
  Judge judge(checkpoint, config, needed);
  for (const auto& name : surplus) judge.pass(name);
  judge.report();
}

void check_index(const Checkpoint& checkpoint, const DecoderConfig& config, const Names& needed) {
  const Judge judge(checkpoint, config, needed);
  for (const auto& [name, problem] : checkpoint.index_faults())
    if (std::binary_search(needed.begin(), needed.end(), name) || judge.kind(name) == Kind::unknown)
      throw InputError(problem);
}

}  // namespace attnlab
