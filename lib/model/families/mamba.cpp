// Mamba (arXiv 2312.00752) and Mamba-2 (arXiv 2405.21060): layers of a norm and a recurrence, no attention, no
// MLP.
#include <fmt/format.h>

#include <algorithm>

#include "model/families/forms.h"

namespace attnlab {
namespace {

constexpr int64_t kNoLimit = 1 << 20;  // of positions: there are none

// What both have. Keys of how weights are initialised (time_step_min and the like) change nothing here.
void read_mamba_common(const JsonKeys& keys, DecoderConfig& config, RecurrentShape& form, int64_t state) {
  refuse_foreign(keys);
  note_dropout(keys);
  keys.require_only("hidden_act", "silu");
  config.vocab_size = keys.count("vocab_size");
  config.d_model = keys.count("hidden_size");
  config.n_layers = read_layer_count(keys);
  config.max_positions = kNoLimit;
  config.norm_eps = keys.positive("layer_norm_epsilon", 1e-5);
  form.state = keys.count("state_size", state);
  form.conv_kernel = keys.count("conv_kernel", 4);
  form.bias = keys.flag("use_bias", false);
  form.conv_bias = keys.flag("use_conv_bias", true);
  form.float32_residual = keys.flag("residual_in_fp32", true);
}

void write_mamba_common(const DecoderConfig& config, nlohmann::ordered_json& out) {
  const RecurrentShape& form = *config.recurrent;
  out["hidden_act"] = "silu";
  out["vocab_size"] = config.vocab_size;
  out["hidden_size"] = config.d_model;
  out["num_hidden_layers"] = config.n_layers;
  out["layer_norm_epsilon"] = config.norm_eps;
  out["state_size"] = form.state;
  out["conv_kernel"] = form.conv_kernel;
  out["use_bias"] = form.bias;
  out["use_conv_bias"] = form.conv_bias;
  out["residual_in_fp32"] = form.float32_residual;
  out["expand"] = form.inner / config.d_model;
  out["tie_word_embeddings"] = config.tie_embeddings;
}

// "auto" or a number.
int64_t read_step_rank(const JsonKeys& keys, int64_t d_model) {
  const int64_t usual = (d_model + 15) / 16;
  if (!keys.has("time_step_rank") || keys.object().at("time_step_rank") == "auto") return usual;
  return keys.count("time_step_rank", usual);
}

void read_mamba(const JsonKeys& keys, DecoderConfig& config) {
  RecurrentShape form{.kind = RecurrentKind::mamba};
  read_mamba_common(keys, config, form, 16);
  form.inner = keys.count("expand", 2) * config.d_model;
  if (keys.has("intermediate_size") && keys.count("intermediate_size") != form.inner)
    keys.refuse("intermediate_size", fmt::format("expand x hidden_size = {}", form.inner));
  form.step_rank = read_step_rank(keys, config.d_model);
  config.tie_embeddings = keys.flag("tie_word_embeddings", true);
  config.n_heads = config.n_kv_heads = 1;
  config.head_dim = std::max<int64_t>(2, form.inner);
  config.d_ff = form.inner;
  config.recurrent = form;
}

void write_mamba(const DecoderConfig& config, nlohmann::ordered_json& out) {
  write_mamba_common(config, out);
  out["time_step_rank"] = config.recurrent->step_rank;
}

// "time_step_limit": [least, most], where most may be infinite, which JSON cannot say in numbers.
void read_limits(const JsonKeys& keys, RecurrentShape& form) {
  if (!keys.has("time_step_limit")) return;
  const auto& limits = keys.object().at("time_step_limit");
  const auto is_open = [](const nlohmann::json& value) {
    return value.is_null() || value == "inf" || value == "Infinity" ||
           (value.is_object() && value.value("__float__", "") == "Infinity");
  };
  if (!limits.is_array() || limits.size() != 2 || !limits[0].is_number() ||
      !(limits[1].is_number() || is_open(limits[1])))
    keys.refuse("time_step_limit", "two numbers, the least step and the largest");
  form.step_least = limits[0].get<double>();
  form.step_most = is_open(limits[1]) ? 0 : limits[1].get<double>();
  if (form.step_least < 0 || (form.step_most != 0 && form.step_most <= form.step_least))
    keys.refuse("time_step_limit", "a least step from 0, and a larger one");
}

void read_mamba2(const JsonKeys& keys, DecoderConfig& config) {
  RecurrentShape form{.kind = RecurrentKind::mamba2};
  read_mamba_common(keys, config, form, 128);
  form.heads = keys.count("num_heads", 128);
  const int64_t head_dim = keys.count("head_dim", 64);
  form.inner = keys.count("expand", 2) * config.d_model;
  if (form.heads * head_dim != form.inner)
    keys.refuse("num_heads", fmt::format("{} / head_dim = {}", form.inner, form.inner / head_dim));
  form.groups = keys.count("n_groups", 8);
  if (form.heads % form.groups != 0)
    keys.refuse("n_groups", fmt::format("a divisor of num_heads = {}", form.heads));
  read_limits(keys, form);
  config.tie_embeddings = keys.flag("tie_word_embeddings", false);
  config.n_heads = config.n_kv_heads = form.heads;
  config.head_dim = std::max<int64_t>(2, head_dim);
  config.d_ff = form.inner;
  config.recurrent = form;
}

void write_mamba2(const DecoderConfig& config, nlohmann::ordered_json& out) {
  const RecurrentShape& form = *config.recurrent;
  write_mamba_common(config, out);
  out["num_heads"] = form.heads;
  out["head_dim"] = form.inner / form.heads;
  out["n_groups"] = form.groups;
  if (form.step_least > 0 || form.step_most > 0) {
    out["time_step_limit"] = {form.step_least};
    out["time_step_limit"].push_back(form.step_most > 0 ? nlohmann::ordered_json(form.step_most)
                                                        : nlohmann::ordered_json("inf"));
  }
}

std::string mamba_name(const std::string& name) {
  if (name.starts_with("model.layers."))
    return renamed_in_layer(name, "backbone.layers.",
                            {{"input_layernorm.", "norm."}, {"self_attn.", "mixer."}});
  return renamed(name, {{"model.embed_tokens.", "backbone.embeddings."}, {"model.norm.", "backbone.norm_f."}});
}

}  // namespace

const FamilyForm kMamba{.architecture = "MambaForCausalLM",
                        .traits = {.has_mlp = false},
                        .defaults = {},
                        .rope_types = {},
                        .own_keys = true,
                        .file_name = mamba_name,
                        .read = read_mamba,
                        .write = write_mamba};

const FamilyForm kMamba2{.architecture = "Mamba2ForCausalLM",
                         .traits = {.has_mlp = false},
                         .defaults = {},
                         .rope_types = {},
                         .own_keys = true,
                         .file_name = mamba_name,
                         .read = read_mamba2,
                         .write = write_mamba2};

}  // namespace attnlab
