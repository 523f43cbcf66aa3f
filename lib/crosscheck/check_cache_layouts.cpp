// Models of which some layers read the cache of another: cross-layer attention and YOCO, with their weights.
#include <fmt/format.h>

#include <cmath>

#include "attention/cla.h"
#include "attention/gated_retention.h"
#include "attention/gqa.h"
#include "attention/shared_kv.h"
#include "core/errors.h"
#include "crosscheck/check_cache.h"

namespace attnlab {
namespace {

// Rotary angles are float32 whatever the weights are.
Allowed logits_tolerance(const CaseFile& file) {
  return {.absolute = file.facts.at("tolerance").at("logits_abs").at("float32_implementation").get<double>()};
}

double number_param(const CaseFile& file, const char* key) {
  const auto& params = params_of(file);
  if (!params.contains(key) || !params[key].is_number())
    throw InputError(BadInput{.file = file.path.string(),
                              .key = std::string("params.") + key,
                              .found = params.contains(key) ? params[key].dump() : "nothing",
                              .expected = "a number"});
  return params[key].get<double>();
}

// What a layer keeps of its first per-token slots, [G, S, H].
torch::Tensor cached(const LayerState& state, size_t slot, int64_t heads) {
  return state.storage(slot).read()[0].unflatten(1, {heads, -1}).transpose(0, 1);
}

void load_parameters(torch::nn::Module& module,
                     const std::function<torch::Tensor(const std::string&)>& tensor) {
  const torch::NoGradGuard no_grad;
  for (auto& item : module.named_parameters()) {
    const auto value = tensor(item.key());
    if (value.sizes() != item.value().sizes())
      throw InputError(
          BadInput{.key = item.key(), .found = "another shape", .expected = "that of the parameters"});
    item.value().copy_(value);
  }
}

void check_cla(const CaseFile& file, CaseCheck& check) {
  const torch::NoGradGuard no_grad;
  const auto ids = file.tensor("input_ids", torch::kInt64);
  const DecoderConfig config{.vocab_size = param(file, "vocab_size"),
                             .d_model = param(file, "d_model"),
                             .n_layers = param(file, "n_layers"),
                             .n_heads = param(file, "n_heads"),
                             .n_kv_heads = param(file, "n_kv_heads"),
                             .head_dim = param(file, "head_dim"),
                             .d_ff = param(file, "d_ff"),
                             .max_positions = ids.size(1),
                             .norm_eps = number_param(file, "norm_eps"),
                             .rope_theta = number_param(file, "rope_theta"),
                             .tie_embeddings = false};
  const auto own = params_of(file).at("own_kv_layers").get<std::vector<int64_t>>();
  Decoder decoder(config, Cla::Config{.share = param(file, "share"), .own_layers = own});
  decoder.to(torch::kFloat64);
  load_parameters(decoder, [&](const std::string& name) { return file.tensor("weight/" + name); });
  const auto expected = file.tensor("logits");
  check.compare("logits", decoder.logits(decoder.hidden(ids))[0], expected, logits_tolerance(file));
  check.expect("cached_numbers_per_token",
               decoder.cached_numbers_per_token() == file.integer("cached_numbers_per_token"));
  // The same from caches: a prompt, then one token at a time.
  const int64_t T = ids.size(1), prompt = T / 2;
  auto states = decoder.make_states(1, T);
  std::vector<torch::Tensor> pieces{decoder.hidden(ids.narrow(1, 0, prompt), {.states = &states})};
  for (int64_t t = prompt; t < T; ++t)
    pieces.push_back(decoder.hidden(ids.narrow(1, t, 1), {.sequence = {.begin = t}, .states = &states}));
  check.compare("logits from caches", decoder.logits(torch::cat(pieces, 1))[0], expected,
                logits_tolerance(file));
  for (const int64_t layer : own)
    for (const auto& [slot, name] : {std::pair<size_t, const char*>{0, "cached_k"}, {1, "cached_v"}}) {
      const auto of = fmt::format("{}/{}", name, layer);
      check.compare(of, cached(states.at(static_cast<size_t>(layer)), slot, config.n_kv_heads), file.tensor(of),
                    {.relative = 1e-5});
    }
}

// Rows of a projection to heads, neighbours that turn together as halves.
torch::Tensor rows_as_halves(const torch::Tensor& weight, int64_t heads) {
  return pairs_to_halves(weight.unflatten(0, {heads, -1}).transpose(1, 2)).transpose(1, 2).flatten(0, 1);
}

class YocoModel {
 public:
  explicit YocoModel(const CaseFile& file)
      : file_(file), D_(param(file, "dim")), half_(param(file, "n_layers") / 2) {
    const auto& window = params_of(file).at("sliding_window");
    window_ = window.is_number_integer() ? window.get<int64_t>() : 0;
    config_ = {.vocab_size = param(file, "vocab_size"),
               .d_model = D_,
               .n_layers = 2 * half_,
               .n_heads = param(file, "n_attn_heads"),
               .n_kv_heads = param(file, "n_attn_kv_heads"),
               .head_dim = D_ / param(file, "n_attn_heads"),
               .d_ff = param(file, "hidden_dim"),
               .norm_eps = number_param(file, "norm_eps"),
               .tie_embeddings = false};
    for (int64_t i = 0; i < 2 * half_; ++i) layers_.push_back(layer(i));
    for (auto& one : layers_) one->to(torch::kFloat64);
    for (int64_t i = 0; i < 2 * half_; ++i)
      load_parameters(*layers_[static_cast<size_t>(i)],
                      [&](const std::string& name) { return weight(i, name); });
  }

  int64_t half() const { return half_; }
  int64_t kv_heads() const { return config_.n_kv_heads; }
  std::vector<LayerState> states(int64_t capacity) const {
    std::vector<LayerState> out;
    for (const auto& one : layers_)
      out.emplace_back(one->mixer()->state_layout(), 1, capacity, torch::kFloat64,
                       one->mixer()->shape().window);
    return out;
  }

  torch::Tensor logits(const torch::Tensor& ids_1T, int64_t begin, std::vector<LayerState>* states) {
    SequenceParts parts{.begin = begin, .T = ids_1T.size(1)};
    if (window_ > 0) parts.windows.push_back(window_);
    const auto positions = torch::arange(begin + ids_1T.size(1)).unsqueeze(0);
    for (const int64_t heads : {param(file_, "n_self_heads"), config_.n_heads}) {
      // Frequencies θ^(-i / (H/2 - 1)): those of a larger θ as usual.
      const int64_t H = D_ / heads;
      const double half = static_cast<double>(H) / 2;
      const double theta = std::pow(number_param(file_, "rope_theta"), half / (half - 1));
      parts.rotary.push_back(rotary_tables(positions, H, theta, torch::kFloat64));
    }
    const auto sequence = std::make_shared<const Sequence>(std::move(parts));
    auto x_1TD = torch::embedding(file_.tensor("weight/embed_tokens.weight"), ids_1T) *
                 std::sqrt(static_cast<double>(D_));
    KvBoard board;
    for (size_t i = 0; i < layers_.size(); ++i)
      x_1TD = layers_[i]->forward(x_1TD, {.x_BTD = {},
                                          .sequence = sequence,
                                          .rotary = static_cast<int64_t>(i) < half_ ? size_t{0} : size_t{1},
                                          .state = states ? &states->at(i) : nullptr,
                                          .board = &board});
    const auto normed = at::rms_norm(x_1TD, {D_}, file_.tensor("weight/layer_norm.weight"), config_.norm_eps);
    return torch::linear(normed, file_.tensor("weight/output_projection.weight"))[0];
  }

 private:
  AttentionShape shape(int64_t i) const {
    AttentionShape shape = config_.attention_shape(i);
    shape.layer = i, shape.n_layers = 2 * half_, shape.norm_eps = config_.norm_eps;
    if (i >= half_) return shape;
    shape.n_heads = shape.n_kv_heads = param(file_, "n_self_heads");
    shape.head_dim = D_ / shape.n_heads;
    shape.window = window_;
    return shape;
  }

  std::shared_ptr<DecoderLayer> layer(int64_t i) const {
    std::shared_ptr<Mixer> mixer;
    if (i >= half_)
      mixer = make_shared_kv(shape(i), half_);
    else if (window_ > 0)
      mixer = Gqa::make(shape(i), {});
    else
      mixer = std::make_shared<GatedRetention>(shape(i));
    return std::make_shared<DecoderLayer>(native_form(config_), i, mixer);
  }

  torch::Tensor weight(int64_t i, const std::string& name) const {
    const auto prefix = i < half_ ? fmt::format("weight/self_decoder.layers.{}.", i)
                                  : fmt::format("weight/cross_decoder.layers.{}.", i - half_);
    static const std::map<std::string, std::string> theirs{
        {"input_layernorm.weight", "mixer_layer_norm.weight"},
        {"post_attention_layernorm.weight", "final_layer_norm.weight"},
        {"mlp.gate_proj.weight", "ffn.fc1.weight"},
        {"mlp.up_proj.weight", "ffn.gate.weight"},
        {"mlp.down_proj.weight", "ffn.fc2.weight"},
        {"self_attn.o_proj.weight", "mixer.out_proj.weight"},
        {"self_attn.q_proj.weight", "mixer.q_proj.weight"},
        {"self_attn.k_proj.weight", "mixer.k_proj.weight"},
        {"self_attn.v_proj.weight", "mixer.v_proj.weight"},
        {"self_attn.g_proj.weight", "mixer.g_proj.weight"},
        {"self_attn.gt_proj.weight", "mixer.gt_proj.weight"}};
    const bool keys = name == "self_attn.k_proj.weight", values = name == "self_attn.v_proj.weight";
    auto tensor = i >= half_ && (keys || values) ? shared_projection(keys ? "k_proj" : "v_proj", prefix)
                                                 : file_.tensor(prefix + theirs.at(name));
    if (keys) tensor = rows_as_halves(tensor, shape(i).n_kv_heads);
    if (name == "self_attn.q_proj.weight") tensor = rows_as_halves(tensor, shape(i).n_heads);
    return tensor;
  }

  // Behind a norm with weights of its own, which the matrix takes in place of those of the layer's norm.
  torch::Tensor shared_projection(const std::string& name, const std::string& prefix) const {
    const auto norm_D = file_.tensor("weight/cross_decoder.kv_layer_norm.weight");
    return file_.tensor("weight/cross_decoder." + name + ".weight") *
           (norm_D / file_.tensor(prefix + "mixer_layer_norm.weight"));
  }

  const CaseFile& file_;
  int64_t D_, half_, window_ = 0;
  DecoderConfig config_;
  std::vector<std::shared_ptr<DecoderLayer>> layers_;
};

void check_yoco(const CaseFile& file, CaseCheck& check) {
  const torch::NoGradGuard no_grad;
  YocoModel model(file);
  const auto ids = file.tensor("input_ids", torch::kInt64);
  check.compare("logits", model.logits(ids, 0, nullptr), file.tensor("logits"), logits_tolerance(file));
  const int64_t prompt = param(file, "decode_from"), T = ids.size(1);
  auto states = model.states(T);
  model.logits(ids.narrow(1, 0, prompt), 0, &states);
  std::vector<torch::Tensor> steps;
  for (int64_t t = prompt; t < T; ++t) steps.push_back(model.logits(ids.narrow(1, t, 1), t, &states)[0]);
  check.compare("decode_logits", torch::stack(steps), file.tensor("decode_logits"), logits_tolerance(file));
  const LayerState& global = states.at(static_cast<size_t>(model.half()));
  const auto theirs = [&](const char* name) { return file.tensor(name).transpose(0, 1); };
  check.compare("cached_k", cached(global, 0, model.kv_heads()), pairs_to_halves(theirs("cached_k")),
                {.relative = 1e-5});
  check.compare("cached_v", cached(global, 1, model.kv_heads()), theirs("cached_v"), {.relative = 1e-5});
}

}  // namespace

bool is_layout(const CaseFile& file) {
  const auto method = file.facts.value("method", "");
  return method == "cla" || method == "yoco";
}

void check_layout(const CaseFile& file, CaseCheck& check) {
  if (file.text("method") == "cla") return check_cla(file, check);
  check_yoco(file, check);
}

}  // namespace attnlab
