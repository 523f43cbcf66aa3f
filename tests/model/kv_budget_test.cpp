#include "model/kv_budget.h"

#include <nlohmann/json.hpp>

#include "catch.h"
#include "core/files.h"
#include "model/decoder.h"
#include "model/families/families.h"

namespace attnlab {
namespace {

DecoderConfig shape(Family family, int64_t layers, int64_t N, int64_t G, int64_t H) {
  DecoderConfig c;
  c.family = family;
  c.vocab_size = 32000;
  c.d_model = N * H;
  c.n_layers = layers;
  c.n_heads = N;
  c.n_kv_heads = G;
  c.head_dim = H;
  c.d_ff = 3 * N * H;
  return c;
}

const KvForm& form(const std::vector<KvForm>& forms, const std::string& name) {
  for (const auto& f : forms)
    if (f.name == name) return f;
  FAIL("no form " << name);
  std::abort();
}

int64_t parameters_of(const torch::nn::Module& module) {
  int64_t count = 0;
  for (const auto& p : module.parameters()) count += p.numel();
  return count;
}

int64_t attention_parameters_of(const Decoder& decoder) {
  int64_t count = 0;
  for (const auto& layer : decoder.layers()) count += parameters_of(*layer->mixer());
  return count;
}

// One config for each thing that has parameters of its own.
std::vector<DecoderConfig> all_kinds() {
  std::vector<DecoderConfig> kinds;
  for (const Family family : {Family::llama, Family::qwen2, Family::qwen3, Family::gemma2, Family::mixtral}) {
    kinds.push_back(shape(family, 3, 6, 2, 4));
    kinds.back().vocab_size = 37;
  }
  kinds[0].d_model = 20;  // not N·H
  kinds[0].mlp_bias = true;
  kinds[1].qkv_bias = kinds[1].o_bias = kinds[1].tie_embeddings = true;
  kinds[4].moe = MoeShape{.n_experts = 5, .experts_per_token = 2, .d_ff = 96};
  for (const int64_t q_rank : {0, 7}) {
    kinds.push_back(shape(Family::deepseek_v3, 2, 4, 4, 6));
    kinds.back().qkv_bias = kinds.back().o_bias = q_rank > 0;
    kinds.back().mla = MlaShape{.q_lora_rank = q_rank,
                                .kv_lora_rank = 10,
                                .qk_nope_head_dim = 6,
                                .qk_rope_head_dim = 4,
                                .v_head_dim = 5};
  }
  kinds.push_back(kinds.back());
  kinds.back().moe = MoeShape{.n_experts = 6,
                              .experts_per_token = 2,
                              .d_ff = 7,
                              .n_shared = 2,
                              .first_layer = 1,
                              .score = RouterScore::sigmoid};
  return kinds;
}

}  // namespace

TEST_CASE("the counted parameters and cached numbers are those of the decoder, for all kinds of parts") {
  for (const auto& config : all_kinds()) {
    INFO(name_of(config.family));
    const Decoder decoder(native_form(config));
    const ParameterCounts counts = count_parameters(config);
    CHECK(counts.total() == parameters_of(decoder));
    CHECK(counts.attention == attention_parameters_of(decoder));
    const KvForm own = kv_forms(config).front();
    CHECK(own.own);
    CHECK(own.attention_params == counts.attention);
    CHECK(own.numbers * config.n_layers == decoder.cached_numbers_per_token());
  }
}

TEST_CASE("the forms that a base is converted into have the variants' parameters and caches") {
  for (const auto& config : all_kinds()) {
    if (config.mla) continue;
    INFO(name_of(config.family));
    const auto forms = kv_forms(config);
    for (const std::string name : {"mla_identity", "mla_orthogonal"}) {
      const Decoder decoder(config, *variant_defaults(name));
      CHECK(form(forms, name).attention_params == attention_parameters_of(decoder));
      CHECK(form(forms, name).numbers * config.n_layers == decoder.cached_numbers_per_token());
    }
  }
  // The export's form, against the module: a base without q/k norms.
  DecoderConfig llama = shape(Family::llama, 2, 6, 2, 4);
  const auto planned = form(kv_forms(llama, {.kv_lora_rank = 5, .qk_rope_head_dim = 2}), "deepseek_mla");
  llama.family = Family::deepseek_v3;
  llama.mla = MlaShape{.kv_lora_rank = 5, .qk_nope_head_dim = 4, .qk_rope_head_dim = 2, .v_head_dim = 4};
  const Decoder decoder(native_form(llama));
  CHECK(planned.attention_params == attention_parameters_of(decoder));
  CHECK(planned.numbers * 2 == decoder.cached_numbers_per_token());
}

TEST_CASE("readings with other numbers of KV heads") {
  const auto gqa = kv_forms(shape(Family::llama, 4, 8, 2, 16));
  CHECK(gqa.front().name == "gqa");
  CHECK(form(gqa, "gqa").numbers == 2 * 2 * 16);
  CHECK(form(gqa, "mha").numbers == 2 * 8 * 16);
  CHECK(form(gqa, "mqa").numbers == 2 * 16);
  CHECK(form(gqa, "mla_identity").numbers == form(gqa, "gqa").numbers);
  // Only K and V projections differ: 2 · D · H for each KV head and layer.
  CHECK(form(gqa, "mha").attention_params - form(gqa, "mqa").attention_params == 4 * 7 * 2 * 128 * 16);
  CHECK(kv_forms(shape(Family::llama, 4, 8, 8, 16)).front().name == "mha");
  CHECK(kv_forms(shape(Family::llama, 4, 8, 1, 16)).front().name == "mqa");
}

TEST_CASE("a 65B Llama with 8 KV heads at 512K tokens and 8 bits keeps 85.9 GB") {
  const auto config = shape(Family::llama, 80, 64, 8, 128);
  const double bytes =
      cache_bytes(config, kv_forms(config).front(), {.context = 512 * 1024, .batch = 1, .bits = 8});
  CHECK(bytes == 85899345920.0);  // 80 layers · 2 · 8 · 128 · 2^19: exactly 80 GiB
}

TEST_CASE("the pairs of TransMLA v1 add 12.5 % to the attention of Qwen2.5-7B") {
  auto config = shape(Family::qwen2, 28, 28, 4, 128);
  const auto forms = kv_forms(config);
  const int64_t own = forms.front().attention_params, more = form(forms, "mla_identity").attention_params - own;
  CHECK(more == 28 * 2 * 3584 * 512);
  CHECK(8 * more == own);  // of the Q, K, V and O matrices, biases aside
  config.qkv_bias = true;  // as in the checkpoint: the same 102.8 M more
  CHECK(form(kv_forms(config), "mla_identity").attention_params - kv_forms(config).front().attention_params ==
        more);
}

TEST_CASE("Llama-2-7B at 512 + 64 keeps 93 % less") {
  const auto forms = kv_forms(shape(Family::llama, 32, 32, 32, 128));
  CHECK(forms.front().numbers == 8192);
  CHECK(form(forms, "deepseek_mla").numbers == 576);
  CHECK(1 - 576.0 / 8192 == Approx(0.93).margin(0.0005));
}

TEST_CASE("layers with a window keep no more tokens than that") {
  auto config = shape(Family::mistral, 6, 4, 2, 8);
  CHECK(cached_tokens(config, 1000) == 6000);
  config.window = 100;
  CHECK(cached_tokens(config, 1000) == 600);
  CHECK(cached_tokens(config, 50) == 300);
  config.window_layers = {0, 2};
  CHECK(cached_tokens(config, 1000) == 4200);
  const KvForm own = kv_forms(config).front();
  CHECK(cache_bytes(config, own, {.context = 1000, .batch = 3, .bits = 4}) == 4200.0 * 32 * 3 / 2);
}

TEST_CASE("of experts only the chosen ones are active, and the router always is") {
  auto config = shape(Family::mixtral, 2, 4, 2, 8);
  config.moe = MoeShape{.n_experts = 8, .experts_per_token = 2, .d_ff = 96};
  const ParameterCounts counts = count_parameters(config);
  const int64_t expert = 3 * 32 * 96;
  CHECK(counts.mlp == 2 * (8 * expert + 8 * 32));
  CHECK(counts.total() - counts.active == 2 * 6 * expert);
  // In the second layer alone, beside 3 shared ones; and a bias for each expert on its choice.
  config.moe->first_layer = 1;
  config.moe->n_shared = 3;
  config.moe->score = RouterScore::sigmoid;
  const ParameterCounts second = count_parameters(config);
  CHECK(second.mlp == expert + 11 * expert + 8 * 33);
  CHECK(second.total() - second.active == 6 * expert);
}

TEST_CASE("a base that is MLA compares itself with keys and values per head, and with other ranks") {
  const auto config = all_kinds().back();
  const auto forms = kv_forms(config, {.kv_lora_rank = 6, .qk_rope_head_dim = 2});
  REQUIRE(forms.size() == 3);
  CHECK(forms[0].numbers == 14);
  CHECK(form(forms, "mha").numbers == 4 * (6 + 4 + 5));
  CHECK(forms[2].numbers == 8);
  CHECK(kv_forms(config, {.kv_lora_rank = 10, .qk_rope_head_dim = 4}).size() == 2);
}

TEST_CASE("sizes beyond counting are refused") {
  auto config = shape(Family::llama, 4, 8, 2, 16);
  config.d_model = config.d_ff = config.n_layers = int64_t{1} << 31;
  CHECK_THROWS_AS(count_parameters(config), InputError);
  CHECK_THROWS_AS(kv_forms(config), InputError);
  auto heads = shape(Family::llama, 4, 8, 2, 16);
  heads.n_heads = heads.head_dim = int64_t{1} << 31;
  CHECK_THROWS_AS(kv_forms(heads), InputError);
}

}  // namespace attnlab
