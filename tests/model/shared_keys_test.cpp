// The keys of config.json that all families share or none has, and a table of values that no reader takes.
#include <algorithm>

#include "catch.h"
#include "config_json.h"
#include "model/families/families.h"

namespace attnlab {
namespace {

using nlohmann::json;
using test::config_json;
using test::read_json;
using test::refusal;
using test::with;

TEST_CASE("what no family here has is refused in every family, and null or its neutral value accepted") {
  const std::vector<std::pair<const char*, json>> foreign{
      {"quantization_config", {{"bits", 4}}},
      {"vision_config", {{"depth", 2}}},
      {"audio_config", {{"depth", 2}}},
      {"text_config", {{"hidden_size", 2}}},
      {"use_bidirectional_attention", true},
      {"is_encoder_decoder", true},
      {"add_cross_attention", true},
      {"tie_encoder_decoder", true},
      {"cross_attention_hidden_size", 16},
      {"pruned_heads", {{"0", {1}}}},
      {"per_layer_config", {{"1", {{"num_attention_heads", 2}}}}}};
  for (const auto& type : all_names<Family>())
    for (const auto& [key, value] : foreign) {
      INFO(type << " with " << key);
      CHECK_THAT(refusal(with(config_json(type), key, value)), ContainsSubstring(std::string(key) + ": found"));
      CHECK(refusal(with(config_json(type), key, nullptr)) == "accepted");
      if (value.is_boolean()) CHECK(refusal(with(config_json(type), key, !value.get<bool>())) == "accepted");
    }
}

// As PretrainedConfig of several versions writes them all.
TEST_CASE("a dump of all generic keys at their defaults is no reason to refuse, in any family") {
  const json defaults = json::parse(R"({
    "_name_or_path": "", "is_decoder": false, "is_encoder_decoder": false, "add_cross_attention": false,
    "cross_attention_hidden_size": null, "tie_encoder_decoder": false, "pruned_heads": {}, "is_causal": true,
    "chunk_size_feed_forward": 0, "output_attentions": false, "output_hidden_states": false,
    "output_scores": false, "return_dict": true, "return_dict_in_generate": false, "torchscript": false,
    "use_bfloat16": false, "use_cache": true, "tf_legacy_loss": false, "tokenizer_class": null, "prefix": null,
    "finetuning_task": null, "task_specific_params": null, "problem_type": null, "bad_words_ids": null,
    "suppress_tokens": null, "begin_suppress_tokens": null, "forced_bos_token_id": null,
    "forced_eos_token_id": null, "decoder_start_token_id": null, "pad_token_id": null, "sep_token_id": null,
    "id2label": {"0": "LABEL_0", "1": "LABEL_1"}, "label2id": {"LABEL_0": 0, "LABEL_1": 1}, "num_labels": 2,
    "max_length": 20, "min_length": 0, "do_sample": false, "early_stopping": false, "num_beams": 1,
    "num_beam_groups": 1, "diversity_penalty": 0.0, "temperature": 1.0, "top_k": 50, "top_p": 1.0,
    "typical_p": 1.0, "repetition_penalty": 1.0, "length_penalty": 1.0, "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0, "num_return_sequences": 1, "remove_invalid_values": false,
    "exponential_decay_length_penalty": null, "attention_dropout": 0.0, "attention_bias": false,
    "mlp_bias": false, "pretraining_tp": 1, "initializer_range": 0.02, "quantization_config": null,
    "rope_scaling": null, "use_bidirectional_attention": null, "per_layer_config": null,
    "transformers_version": "5.24.0"})");
  for (const auto& type : all_names<Family>()) {
    INFO(type);
    json config = config_json(type);
    config.update(defaults);
    std::vector<std::string> notes;
    CHECK(fields_equal(read_decoder_config(config, "config.json", &notes), read_json(config_json(type))));
    CHECK(notes.empty());
    CHECK(refusal(with(config, "is_decoder", true)) == "accepted");
    for (const json& value : {json(false), json(nullptr), json("yes")})
      CHECK_THAT(refusal(with(config, "is_causal", value)), ContainsSubstring("is_causal: found"));
    notes.clear();
    read_decoder_config(with(config, "attention_dropout", 0.1), "config.json", &notes);
    CHECK(notes == std::vector<std::string>{
                       "config.json: attention_dropout: 0.1 is not used: dropout is never applied"});
  }
}

TEST_CASE("null means what Hugging Face transformers takes it for") {
  const json gemma = config_json("gemma2"), v3 = config_json("deepseek_v3");
  CHECK(read_json(with(config_json("mistral"), "num_key_value_heads", nullptr)).n_kv_heads == 8);  // n_heads
  CHECK(read_json(with(config_json("llama"), "rms_norm_eps", nullptr)).norm_eps == 1e-6);  // as if absent
  CHECK(read_json(with(gemma, "hidden_activation", nullptr)).head_dim == 256);
  CHECK_FALSE(read_json(with(v3, "rope_interleave", nullptr)).mla->interleaved);
  CHECK_THAT(refusal(with(config_json("llama"), "hidden_size", nullptr)),
             ContainsSubstring("hidden_size: found null, expected a whole number from 1 to 2147483648"));
}

TEST_CASE("a name of the activation that means the same is taken") {
  CHECK(refusal(with(config_json("llama"), "hidden_act", "swish")) == "accepted");
  CHECK_THAT(refusal(with(config_json("gemma2"), "hidden_activation", "swish")), ContainsSubstring("swish"));
}

// What a key may be, the values that it can't, and what the message then expects.
struct KeyKind {
  std::vector<std::string> bad;  // JSON
  std::string expected;
};
const KeyKind kCount{
    {"0", "-3", "3.5", "32.0", "\"3\"", "true", "[3]", "{}", "1e30", "18446744073709551615", "4294967296"},
    "a whole number from 1"};
const KeyKind kPositive{{"0", "-1", "\"1\"", "true", "[1]", "{}"}, "a number above 0"};
const KeyKind kFlag{{"0", "1", "\"true\"", "[]", "{}"}, "true or false"};
const KeyKind kOff{{"true", "1", "\"no\"", "[]"}, "false or nothing"};
const KeyKind kTypeList{{"3", "\"full_attention\"", "[3]", "{}"}, "a list of texts"};
const KeyKind kMap{{"3", "[]", "\"linear\"", "true"}, "an object"};

using Families = std::vector<std::string>;
struct ReaderRow {
  Families families;
  const char* key;
  const KeyKind& kind;
};

const Families kMambas{"mamba", "mamba2"}, kRecurrent{"mamba", "mamba2", "rwkv"};

std::vector<ReaderRow> attention_rows() {
  const Families all = all_names<Family>(), windows{"mistral", "mixtral", "gemma2", "phi3"},
                 mla{"deepseek_v2", "deepseek_v3"};
  Families attention = all;
  std::erase_if(attention, [](const auto& name) {
    return std::find(kRecurrent.begin(), kRecurrent.end(), name) != kRecurrent.end();
  });
  return {{all, "vocab_size", kCount},
          {all, "hidden_size", kCount},
          {all, "num_hidden_layers", kCount},
          {attention, "num_attention_heads", kCount},
          {attention, "num_key_value_heads", kCount},
          {attention, "intermediate_size", kCount},
          {attention, "max_position_embeddings", kCount},
          {attention, "head_dim", kCount},
          {attention, "rms_norm_eps", kPositive},
          {attention, "rope_theta", kPositive},
          {all, "tie_word_embeddings", kFlag},
          {attention, "rope_scaling", kMap},
          {attention, "rope_parameters", kMap},
          {windows, "sliding_window", kCount},
          {windows, "layer_types", kTypeList},
          {{"llama"}, "mlp_bias", kFlag},
          {{"llama", "qwen3", "gemma2", "deepseek_v2", "deepseek_v3"}, "attention_bias", kFlag},
          {{"mistral", "mixtral", "phi3"}, "attention_bias", kOff},
          {{"phi3"}, "mlp_bias", kOff},
          {{"phi3"}, "lm_head_bias", kOff},
          {{"phi3"}, "partial_rotary_factor", kPositive},
          {{"qwen2"}, "use_mrope", kOff},
          {{"qwen2", "qwen3"}, "use_sliding_window", kFlag},
          {{"mixtral"}, "num_local_experts", kCount},
          {{"mixtral"}, "num_experts_per_tok", kCount},
          {{"gemma2"}, "attn_logit_softcapping", kPositive},
          {{"gemma2"}, "final_logit_softcapping", kPositive},
          {{"gemma2"}, "query_pre_attn_scalar", kPositive},
          {mla, "kv_lora_rank", kCount},
          {mla, "q_lora_rank", kCount},
          {mla, "qk_nope_head_dim", kCount},
          {mla, "qk_rope_head_dim", kCount},
          {mla, "v_head_dim", kCount},
          {{"deepseek_v3"}, "rope_interleave", kFlag}};
}

std::vector<ReaderRow> recurrent_rows() {
  return {{kRecurrent, "layer_norm_epsilon", kPositive},
          {kMambas, "state_size", kCount},
          {kMambas, "conv_kernel", kCount},
          {kMambas, "expand", kCount},
          {kMambas, "use_bias", kFlag},
          {kMambas, "use_conv_bias", kFlag},
          {kMambas, "residual_in_fp32", kFlag},
          {{"mamba"}, "time_step_rank", kCount},
          {{"mamba2"}, "num_heads", kCount},
          {{"mamba2"}, "head_dim", kCount},
          {{"mamba2"}, "n_groups", kCount},
          {{"rwkv"}, "intermediate_size", kCount},
          {{"rwkv"}, "attention_hidden_size", kCount},
          {{"rwkv"}, "context_length", kCount}};
}

TEST_CASE("each reader of a key refuses what it can't take: file, key, value and what it should be") {
  auto rows = attention_rows();
  for (const auto& row : recurrent_rows()) rows.push_back(row);
  for (const auto& [families, key, kind] : rows)
    for (const auto& family : families)
      for (const auto& value : kind.bad) {
        INFO(family << ": " << key << ": " << value);
        const auto text = refusal(with(config_json(family), key, json::parse(value)));
        CHECK_THAT(text, ContainsSubstring(std::string("model/config.json: ") + key + ": found ") &&
                             ContainsSubstring(", expected " + kind.expected));
        CHECK(text.find('\n') == std::string::npos);
      }
}

// Only what is absent in the family's own form has a default for null; sizes have none.
TEST_CASE("null is as good as absent where a key has a default") {
  for (const auto& family : all_names<Family>()) {
    const json config = config_json(family);
    for (const char* key :
         {"rms_norm_eps", "rope_theta", "max_position_embeddings", "tie_word_embeddings", "head_dim",
          "attention_bias", "rope_scaling", "rope_parameters", "layer_types", "hidden_act", "initializer_range",
          "partial_rotary_factor", "use_sliding_window", "max_window_layers"}) {
      INFO(family << ": " << key);
      json absent = config;
      absent.erase(key);
      CHECK(fields_equal(read_json(with(config, key, nullptr)), read_json(absent)));
    }
  }
}

}  // namespace
}  // namespace attnlab
