#include "config_json.h"

namespace attnlab::test {

using nlohmann::json;

json config_json(const std::string& type) {
  json config{{"model_type", type},       {"hidden_act", "silu"},    {"vocab_size", 100},
              {"hidden_size", 32},        {"num_hidden_layers", 2},  {"num_attention_heads", 8},
              {"num_key_value_heads", 2}, {"intermediate_size", 64}, {"max_position_embeddings", 128},
              {"rms_norm_eps", 1e-5},     {"rope_theta", 500000.0},  {"tie_word_embeddings", true}};
  if (type.starts_with("gemma")) {
    config["hidden_act"] = "gelu_pytorch_tanh";
    config.erase("tie_word_embeddings");
    config.erase("num_key_value_heads");
  }
  if (type.starts_with("deepseek")) {
    config["q_lora_rank"] = nullptr;
    config["kv_lora_rank"] = 7;
    config["qk_nope_head_dim"] = 5;
    config["qk_rope_head_dim"] = 4;
    config["v_head_dim"] = 3;
    config["first_k_dense_replace"] = 2;
  }
  if (type.starts_with("mamba") || type == "rwkv")
    for (const char* key : {"num_attention_heads", "num_key_value_heads", "max_position_embeddings",
                            "rms_norm_eps", "rope_theta"})
      config.erase(key);
  if (type == "mamba2") config["num_heads"] = config["n_groups"] = 1;
  if (type == "rwkv") config.erase("hidden_act");
  return config;
}

json with(json config, const std::string& key, const json& value) {
  config[key] = value;
  return config;
}

json without(json config, const std::string& key) {
  config.erase(key);
  return config;
}

DecoderConfig read_json(const json& config) { return read_decoder_config(config, "model/config.json"); }

std::string refusal(const json& config) {
  try {
    read_json(config);
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace attnlab::test
