#include "model/cut_model.h"

#include <fmt/format.h>

#include <optional>

#include "core/errors.h"

namespace attnlab {
namespace {

[[noreturn]] void refuse(const std::string& found, const std::string& expected) {
  throw InputError(BadInput{.key = "masks", .found = found, .expected = expected});
}

torch::Tensor kept(const torch::Tensor& mask) { return torch::nonzero(mask).flatten(); }
// 1 where there is no mask.
torch::Tensor or_ones(const torch::Tensor& mask, int64_t n) {
  return mask.defined() ? mask.detach().to(torch::kFloat32) : torch::ones({n});
}

// The rows of heads: index h → h·H … h·H + H - 1.
torch::Tensor rows_of(const torch::Tensor& heads, int64_t H) {
  return (heads.unsqueeze(1) * H + torch::arange(H, torch::kInt64)).flatten();
}

// What of a layer stays, and what it is scaled by.
struct LayerCut {
  torch::Tensor q_heads, kv_heads, columns;                   // indices
  torch::Tensor kv_scale_g, columns_scale_i, attention, mlp;  // of those that stay; [] of the blocks
};

class Cut {
 public:
  Cut(const DecoderConfig& config, const TensorMap& weights, const ModelMasks& masks, bool twice_in_head)
      : config_(config), weights_(weights), masks_(masks), twice_(twice_in_head) {
    if (config.mla || config.moe || traits_of(config.family).sandwich_norms)
      refuse(fmt::format("a {}", name_of(config.family)), "GQA, dense MLPs and norms in front of them");
    hidden_D_ = or_ones(masks.hidden_D, config.d_model);
    stream_ = kept(hidden_D_);
    scale_d_ = hidden_D_.index_select(0, stream_);
    if (stream_.numel() == 0) refuse("no number of the stream", "at least one");
  }

  CutModel run() {
    CutModel out{.config = config_, .weights = {}};
    std::vector<int64_t> layers;
    std::optional<LayerCut> first;
    for (int64_t i = 0; i < config_.n_layers; ++i) {
      const LayerMasks masks = masks_.layers.empty() ? LayerMasks{} : masks_.layers.at(static_cast<size_t>(i));
      if (is_out(masks)) continue;
      const LayerCut cut = cut_of(masks, i);
      if (first &&
          (cut.q_heads.numel() != first->q_heads.numel() || cut.columns.numel() != first->columns.numel()))
        refuse(fmt::format("{} heads and {} columns in layer {}, {} and {} in layer {}", cut.q_heads.numel(),
                           cut.columns.numel(), i, first->q_heads.numel(), first->columns.numel(), layers[0]),
               "as many in all layers");
      if (!first) first = cut;
      cut_layer(cut, i, static_cast<int64_t>(layers.size()), out.weights);
      layers.push_back(i);
    }
    if (!first) refuse("no layer", "at least one");
    cut_outer(out.weights);
    set_shape(out.config, *first, layers);
    return out;
  }

 private:
  static bool is_out(const LayerMasks& masks) {
    const auto zero = [](const torch::Tensor& z) { return z.defined() && z.item<double>() == 0; };
    return zero(masks.attention) && zero(masks.mlp);
  }

  LayerCut cut_of(const LayerMasks& masks, int64_t layer) const {
    const int64_t N = config_.n_heads, G = config_.n_kv_heads, M = N / G;
    const auto heads_GM = or_ones(masks.heads_N, N).view({G, M});
    const auto columns_I = or_ones(masks.columns_I, config_.d_ff);
    if (!(heads_GM == heads_GM.select(1, 0).unsqueeze(1)).all().item<bool>())
      refuse(fmt::format("query heads of one KV head with other masks in layer {}", layer),
             "the same: a KV head goes with its queries");
    LayerCut cut{.kv_heads = kept(heads_GM.select(1, 0)), .columns = kept(columns_I)};
    if (cut.kv_heads.numel() == 0 || cut.columns.numel() == 0)
      refuse(fmt::format("no head or no column in layer {}", layer), "at least one of each");
    cut.q_heads = rows_of(cut.kv_heads, M);
    cut.kv_scale_g = heads_GM.select(1, 0).index_select(0, cut.kv_heads);
    cut.columns_scale_i = columns_I.index_select(0, cut.columns);
    cut.attention = masks.attention.defined() ? masks.attention.detach() : torch::ones({});
    cut.mlp = masks.mlp.defined() ? masks.mlp.detach() : torch::ones({});
    return cut;
  }

  void cut_layer(const LayerCut& cut, int64_t layer, int64_t into, TensorMap& out) const {
    const std::string prefix = fmt::format("model.layers.{}.", layer);
    for (auto found = weights_.lower_bound(prefix); found != weights_.end() && found->first.starts_with(prefix);
         ++found) {
      const std::string name = found->first.substr(prefix.size());
      out[fmt::format("model.layers.{}.{}", into, name)] =
          cut_tensor(cut, name, found->second.to(torch::kFloat32)).contiguous();
    }
  }

  torch::Tensor cut_tensor(const LayerCut& cut, const std::string& name, const torch::Tensor& w) const {
    const int64_t H = config_.head_dim;
    const auto q_rows = rows_of(cut.q_heads, H), kv_rows = rows_of(cut.kv_heads, H);
    const auto is = [&](const char* part) { return name.find(part) != std::string::npos; };
    const bool bias = name.ends_with(".bias");
    const auto reads = [&](const torch::Tensor& rows) {  // a matrix that reads the stream, or its bias
      const auto x = w.index_select(0, rows);
      return bias ? x : x.index_select(1, stream_);
    };
    const auto writes = [&](const torch::Tensor& columns, const torch::Tensor& block) {
      const auto x = w.index_select(0, stream_) * block.to(w.scalar_type());
      return bias ? x * scale_d_ : x.index_select(1, columns) * scale_d_.unsqueeze(1);
    };
    const auto scaled = [](const torch::Tensor& x, const torch::Tensor& by) {
      return x.dim() == 1 ? x * by : x * by.unsqueeze(1);
    };
    if (is("layernorm")) return norm(w);
    if (is("q_norm") || is("k_norm")) return w;
    if (is("q_proj")) return reads(q_rows);
    if (is("k_proj")) return reads(kv_rows);
    if (is("v_proj")) return scaled(reads(kv_rows), cut.kv_scale_g.repeat_interleave(H));
    if (is("o_proj")) return writes(q_rows, cut.attention);
    if (is("gate_proj")) return reads(cut.columns);
    if (is("up_proj")) return scaled(reads(cut.columns), cut.columns_scale_i);
    if (is("down_proj")) return writes(cut.columns, cut.mlp);
    ATTNLAB_CHECK(!"a tensor of a layer that no cut knows");
  }

  // The masked norm's mean square runs over the kept numbers, as the cut one's does.
  torch::Tensor norm(const torch::Tensor& weight_D) const {
    const double one = traits_of(config_.family).norm_plus_one ? 1 : 0;
    return (weight_D.index_select(0, stream_) + one) * scale_d_ - one;
  }

  void cut_outer(TensorMap& out) const {
    const auto columns = [&](const std::string& name) {
      return weights_.at(name).to(torch::kFloat32).index_select(1, stream_);
    };
    const bool whole_scale = (scale_d_ == 1).all().item<bool>();
    if (config_.tie_embeddings && !whole_scale && !twice_)
      refuse("masks of the stream between 0 and 1 beside a tied output matrix", "0 and 1");
    out["model.embed_tokens.weight"] = columns("model.embed_tokens.weight") * scale_d_;
    out["model.norm.weight"] = norm(weights_.at("model.norm.weight").to(torch::kFloat32));
    if (config_.tie_embeddings) return;
    const auto head = columns("lm_head.weight");
    out["lm_head.weight"] = twice_ ? head * scale_d_ : head;
  }

  void set_shape(DecoderConfig& config, const LayerCut& cut, const std::vector<int64_t>& layers) const {
    config.d_model = stream_.numel();
    config.n_heads = cut.q_heads.numel();
    config.n_kv_heads = cut.kv_heads.numel();
    config.d_ff = cut.columns.numel();
    config.n_layers = static_cast<int64_t>(layers.size());
    config.window_layers.clear();
    bool any = false;
    for (size_t i = 0; i < layers.size(); ++i)
      if (config_.has_window(layers[i])) {
        any = true;
        if (!config_.window_layers.empty()) config.window_layers.push_back(static_cast<int64_t>(i));
      }
    if (!any) config.window = 0;
    if (static_cast<int64_t>(config.window_layers.size()) == config.n_layers) config.window_layers.clear();
  }

  DecoderConfig config_;
  const TensorMap& weights_;
  const ModelMasks& masks_;
  bool twice_;
  torch::Tensor hidden_D_, stream_, scale_d_;
};

}  // namespace

CutModel cut_model(const DecoderConfig& config, const TensorMap& weights, const ModelMasks& masks,
                   bool twice_in_head) {
  const torch::NoGradGuard no_grad;
  return Cut(config, weights, masks, twice_in_head).run();
}

}  // namespace attnlab
