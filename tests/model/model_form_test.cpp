// Decoders of every family in every form: their config.json in either layout, and their weights beside it.
#include "model/model_form.h"

#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "attention/gqa.h"
#include "attention/mla_identity.h"
#include "attention/mla_orthogonal.h"
#include "catch.h"
#include "config/node.h"
#include "config_json.h"
#include "family_cases.h"
#include "model/variant_options.h"

namespace attnlab {
namespace {

using nlohmann::json;
using test::with;
using test::without;

// Layers differ: in some bases the later ones have a window.
bool problem_in_any_layer(const DecoderConfig& config, const VariantConfig& variant) {
  for (int64_t i = 0; i < config.n_layers; ++i)
    if (variant_problem(config.attention_shape(i), variant)) return true;
  return false;
}

// Every variant that the base can have, at its defaults and with options that differ from them.
std::vector<ModelForm> forms_of(const DecoderConfig& config) {
  const AttentionShape shape = config.attention_shape();
  std::vector<ModelForm> forms;
  for (const auto& name : variant_names_for(shape)) {
    const auto variant = variant_defaults(name).value();
    if (!problem_in_any_layer(config, variant)) forms.push_back({config, variant});
  }
  const auto each = [&](int64_t rank) {
    return fmt::format("{}", std::vector<int64_t>(static_cast<size_t>(config.n_layers), rank));
  };
  const std::vector<std::pair<std::string, std::string>> others{
      {"mla_identity", "absorb: false"},
      {"mla_orthogonal", "{split: left, rank: 3, absorb: false}"},
      {"mla_v2", fmt::format("{{groups: {}, absorb: false}}", std::max<int64_t>(config.n_kv_heads, 1))},
      {"mla_v2", "{rope: extend, absorb: false}"},
      {"mla_deepseek",
       "{kv_lora_rank: 5, q_lora_rank: 4, freqfold: 2, collapse: 2, balance: false, balance_kv_ratio: 0.1, "
       "kv_pca: weight, latent_norm: calibrated, follow: published_code, absorb: false}"},
      {"mha2mla", "{kv_lora_rank: 5, qk_rope_head_dim: 2, select: uniform, absorb: false}"},
      {"care", "{rank: 3, allocation: uniform, covariance: false, absorb: false}"},
      {"care", fmt::format("{{rank: 2, k_ranks: {}, v_ranks: {}}}", each(1), each(3))}};
  for (const auto& [name, options] : others) {
    const auto variant = with_options(variant_defaults(name).value(), parse_yaml(options, "options"));
    if (!variant_problem(shape, variant)) forms.push_back({config, variant});
  }
  if (config.n_layers > 1 && !config.mla) {
    ModelForm hybrid = native_form(config);
    for (size_t i = 1; i < hybrid.layers.size(); ++i) hybrid.layers[i] = MlaIdentity::Config{.absorb = false};
    forms.push_back(hybrid);
  }
  return forms;
}

std::shared_ptr<Decoder> random_decoder(const ModelForm& form) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(7);
  auto decoder = std::make_shared<Decoder>(form);
  const torch::NoGradGuard no_grad;
  for (auto& parameter : decoder->named_parameters()) {
    parameter.value().normal_(0, 0.3, generator);
    if (parameter.key().ends_with("norm.weight")) parameter.value().add_(1);
  }
  return decoder;
}

Checkpoint save(const std::filesystem::path& folder, const ModelForm& form, const TensorMap& weights) {
  write_checkpoint(folder, write_model_form(form), to_file_tensors(form, weights));
  return Checkpoint::open(folder);
}

torch::Tensor logits_of(Decoder& decoder) {
  const torch::NoGradGuard no_grad;
  return decoder.logits(decoder.hidden(torch::tensor({{1, 30, 7, 7, 2, 36, 11, 5, 19}})));
}

// Calls `check(form, decoder, checkpoint)` for each family and form, with the decoder's checkpoint on the disk.
template <class Check>
void for_each_checkpoint(const Check& check) {
  for (const auto& family : test::family_cases())
    for (const auto& form : forms_of(test::read_json(family.json))) {
      INFO(family.name << ", " << form_name(form));
      const auto decoder = random_decoder(form);
      const test::TemporaryFolder folder;
      check(form, *decoder, save(folder.path(), form, copy_weights(*decoder)));
    }
}

ModelForm read_form(const json& config) { return read_model_form(config, "model/config.json"); }

TEST_CASE("a form survives its config.json: base, variant and options") {
  for (const auto& family : test::family_cases())
    for (const auto& form : forms_of(test::read_json(family.json))) {
      const json written = json::parse(write_model_form(form, "bfloat16").dump());
      INFO(family.name << ", " << written);
      const ModelForm read = read_form(written);
      CHECK(fields_equal(read.config, form.config));
      CHECK(form_name(read) == form_name(form));
      REQUIRE(read.layers.size() == form.layers.size());
      for (size_t i = 0; i < form.layers.size(); ++i)
        CHECK(differences(variant_fields(read.layers[i]), variant_fields(form.layers[i])) ==
              std::vector<std::string>{});
      CHECK(json::parse(write_model_form(read, "bfloat16").dump()) == written);
      CHECK(written["torch_dtype"] == "bfloat16");
    }
}

TEST_CASE(
    "the base's own variant is written as the family's file, all others so that it can't be taken for one") {
  const DecoderConfig config = test::read_json(test::config_json("llama"));
  CHECK(write_model_form({config, Gqa::Config{}}) == write_decoder_config(config));
  const json own = json::parse(write_model_form({config, MlaOrthogonal::Config{.rank = 3}}).dump());
  CHECK(own["model_type"] == "attnlab");
  CHECK(own["architectures"] == json{"AttnlabForCausalLM"});
  CHECK(own["variant"] == "mla_orthogonal");
  CHECK(own["options"] == json{{"split", "balanced"}, {"rank", 3}, {"absorb", true}});
  CHECK(own["base"] == json::parse(write_decoder_config(config).dump()));
  for (const auto& [key, value] : own["base"].items())  // no key that a family would take
    if (key != "model_type" && key != "architectures" && key != "torch_dtype") CHECK_FALSE(own.contains(key));
  const json full = json::parse(write_model_form({config, MlaOrthogonal::Config{}}).dump());
  CHECK_FALSE(full["options"].contains("rank"));
}

TEST_CASE("a checkpoint of any form loads with the same logits bit for bit") {
  for_each_checkpoint([](const ModelForm& form, Decoder& decoder, const Checkpoint& checkpoint) {
    CHECK_NOTHROW(check_checkpoint(checkpoint, form));
    const auto loaded = load_decoder(checkpoint, torch::kFloat32, torch::kCPU);
    CHECK(form_name(loaded->form()) == form_name(form));
    CHECK(torch::allclose(logits_of(*loaded), logits_of(decoder), 1e-3, 1e-4));
    // Bit for bit from memory that is aligned as the decoder's: products of one row (of an expert) are rounded
    // in another order where the mapped matrix begins elsewhere in a cache line.
    for (auto& parameter : loaded->parameters()) parameter.set_data(parameter.clone());
    CHECK(torch::equal(logits_of(*loaded), logits_of(decoder)));
    // The own layout fuses nothing.
    const bool fused = checkpoint.has("model.layers.0.mlp.gate_up_proj.weight");
    CHECK(fused == (is_native(form) && form.config.family == Family::phi3));
    CHECK(checkpoint.has("lm_head.weight") != form.config.tie_embeddings);
  });
}

TEST_CASE("layers and what lies around them, read apart, are the decoder") {
  for_each_checkpoint([](const ModelForm& form, Decoder& decoder, const Checkpoint& checkpoint) {
    TensorMap parts = read_outer_weights(checkpoint, form, torch::kFloat32, torch::kCPU);
    CHECK(parts.size() == (form.config.tie_embeddings ? 2 : 3));
    for (const auto& [name, tensor] : parts) CHECK(tensor.data_ptr() == checkpoint.tensor(name).data_ptr());
    for (int64_t i = 0; i < form.config.n_layers; ++i) {
      const auto layer = read_layer_weights(checkpoint, form, i, torch::kFloat32, torch::kCPU);
      CHECK(layer.count("input_layernorm.weight") == 1);
      for (const auto& [name, tensor] : layer) parts["model.layers." + std::to_string(i) + "." + name] = tensor;
    }
    const TensorMap whole = copy_weights(decoder);
    REQUIRE(parts.size() == whole.size());
    for (const auto& [name, tensor] : whole) CHECK(torch::equal(parts.at(name), tensor));
  });
}

TEST_CASE("a layer's tensors are its own memory, in the dtype asked for, and a fused one is read once") {
  const DecoderConfig config = test::read_json(test::config_json("phi3"));
  const ModelForm form{config, Gqa::Config{}};
  const auto decoder = random_decoder(form);
  const test::TemporaryFolder folder;
  const auto checkpoint = save(folder.path(), form, copy_weights(*decoder));
  const auto layer = read_layer_weights(checkpoint, form, 1, torch::kBFloat16, torch::kCPU);
  const auto& q = layer.at("self_attn.q_proj.weight");
  CHECK(q.scalar_type() == torch::kBFloat16);
  CHECK(torch::equal(
      q, decoder->named_parameters()["model.layers.1.self_attn.q_proj.weight"].to(torch::kBFloat16)));
  CHECK(q.is_alias_of(layer.at("self_attn.v_proj.weight")));
  CHECK_FALSE(q.is_alias_of(layer.at("mlp.up_proj.weight")));
  const auto own = read_layer_weights(checkpoint, form, 1, torch::kFloat32, torch::kCPU);
  own.at("mlp.down_proj.weight").zero_();  // the mapped file's bytes would change with it
  CHECK(checkpoint.tensor("model.layers.1.mlp.down_proj.weight").ne(0).any().item<bool>());
}

std::string form_refusal(const json& config) {
  try {
    read_form(config);
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST_CASE("a config.json in the own layout is refused by the key that is wrong") {
  const DecoderConfig config = test::read_json(test::config_json("llama"));
  const json own = json::parse(write_model_form({config, MlaOrthogonal::Config{.rank = 3}}).dump());
  CHECK(form_refusal(own) == "accepted");
  CHECK_THAT(
      form_refusal(with(own, "variant", "mla_ortogonal")),
      ContainsSubstring("model/config.json: variant: found 'mla_ortogonal' (did you mean 'mla_orthogonal'?), "
                        "expected one of mla_identity, "));
  CHECK_THAT(form_refusal(with(own, "variant", 3)), ContainsSubstring("variant: found 3, expected the name"));
  CHECK_THAT(form_refusal(without(own, "variant")), ContainsSubstring("variant: found nothing"));
  CHECK_THAT(form_refusal(with(own, "variant", "gqa")), ContainsSubstring("config.json: options."));
  json gqa = with(own, "variant", "gqa");
  gqa["options"] = json::object();
  CHECK_THAT(form_refusal(gqa),
             ContainsSubstring("variant: found gqa") && ContainsSubstring("model_type llama"));
  CHECK_THAT(form_refusal(with(gqa, "variant", "deepseek_mla")),
             ContainsSubstring("config.json: variant: found deepseek_mla"));
}

TEST_CASE("options in the own layout are refused as an arm's are") {
  const DecoderConfig config = test::read_json(test::config_json("llama"));
  const json own = json::parse(write_model_form({config, MlaOrthogonal::Config{.rank = 3}}).dump());
  const auto with_option = [&](const std::string& key, const json& value) {
    return form_refusal(with(own, "options", with(own["options"], key, value)));
  };
  CHECK(with_option("rank", nullptr) == "accepted");
  CHECK(with_option("rank", 4) == "accepted");  // head_dim
  CHECK_THAT(with_option("rang", 4),
             ContainsSubstring("model/config.json: options.rang: found an unknown key") &&
                 ContainsSubstring("did you mean 'rank'?"));
  CHECK_THAT(with_option("rank", 0),
             ContainsSubstring("config.json: options.rank: found '0'") && ContainsSubstring("at least 1"));
  CHECK_THAT(with_option("rank", 5), ContainsSubstring("config.json: options.rank: found 5"));
  CHECK_THAT(with_option("rank", 2.5), ContainsSubstring("options.rank: found '2.5', expected a whole number"));
  CHECK_THAT(with_option("rank", "3"), ContainsSubstring("options.rank: found '3', expected a whole number"));
  CHECK_THAT(with_option("rank", json{3}), ContainsSubstring("options.rank: found a list"));
  CHECK_THAT(with_option("absorb", 1), ContainsSubstring("options.absorb: found '1', expected true or false"));
  CHECK_THAT(with_option("split", "even"), ContainsSubstring("options.split: found 'even', expected one of"));
  CHECK_THAT(form_refusal(with(own, "options", json::array())), ContainsSubstring("options: found []"));
  CHECK_THAT(form_refusal(without(own, "options")),
             ContainsSubstring("options: found nothing, expected a map"));
}

TEST_CASE("the base in the own layout is refused by its keys") {
  const DecoderConfig config = test::read_json(test::config_json("llama"));
  const json own = json::parse(write_model_form({config, MlaIdentity::Config{}}).dump());
  const auto with_base = [&](const json& base) { return form_refusal(with(own, "base", base)); };
  CHECK_THAT(form_refusal(without(own, "base")), ContainsSubstring("config.json: base: found nothing"));
  CHECK_THAT(with_base("llama"), ContainsSubstring("base: found \"llama\", expected a map"));
  CHECK_THAT(with_base(without(own["base"], "hidden_size")),
             ContainsSubstring("base.hidden_size: found nothing"));
  CHECK_THAT(with_base(own), ContainsSubstring("base.model_type: found 'attnlab'"));
  // No variant that is made from GQA goes with a base that is MLA.
  const auto mla = write_decoder_config(test::read_json(test::config_json("deepseek_v3")));
  CHECK_THAT(with_base(json::parse(mla.dump())), ContainsSubstring("config.json: variant: found"));
}

TEST_CASE("tensors that the own layout lacks or does not have are named") {
  const DecoderConfig config = test::read_json(test::config_json("phi3"));
  const ModelForm form{config, MlaIdentity::Config{}};
  const TensorMap weights = copy_weights(*random_decoder(form));
  // The message without the folder's name.
  const auto refusal = [&](const TensorMap& changed, const auto& read) {
    const test::TemporaryFolder folder;
    try {
      read(save(folder.path(), form, changed));
    } catch (const InputError& error) {
      return std::string(error.what()).substr(folder.path().string().size());
    }
    return std::string("accepted");
  };
  const auto all = [&](const TensorMap& changed) {
    const auto load = [](const Checkpoint& checkpoint) {
      load_decoder(checkpoint, torch::kFloat32, torch::kCPU);
    };
    const auto found = refusal(changed, load);
    CHECK(refusal(changed, [&](const Checkpoint& checkpoint) { check_checkpoint(checkpoint, form); }) == found);
    return found;
  };
  CHECK(all(weights) == "accepted");
  auto missing = weights;
  missing.erase("model.layers.1.self_attn.k_up_proj.weight");
  CHECK_THAT(all(missing),
             ContainsSubstring("model.layers.1.self_attn.k_up_proj.weight: found no such tensor"));
  const auto layer = [&](int64_t i) {
    return refusal(missing, [&](const Checkpoint& checkpoint) {
      read_layer_weights(checkpoint, form, i, torch::kFloat32, torch::kCPU);
    });
  };
  CHECK(layer(0) == "accepted");
  CHECK_THAT(layer(1), ContainsSubstring("model.layers.1.self_attn.k_up_proj.weight: found no such tensor"));
  auto surplus = weights;
  surplus["model.layers.0.self_attn.qkv_proj.weight"] = torch::ones({2, 2});
  CHECK_THAT(all(surplus), ContainsSubstring("qkv_proj.weight: found a tensor that the model does not have"));
  auto headless = weights;
  headless.erase("model.norm.weight");
  CHECK_THAT(refusal(headless,
                     [&](const Checkpoint& checkpoint) {
                       read_outer_weights(checkpoint, form, torch::kFloat32, torch::kCPU);
                     }),
             ContainsSubstring("model.norm.weight: found no such tensor"));
}

}  // namespace
}  // namespace attnlab
