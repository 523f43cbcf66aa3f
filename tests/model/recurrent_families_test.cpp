// Families without attention: their config.json, names of tensors, and generation with a state.
#include "catch.h"
#include "checkpoint/checkpoint.h"
#include "config_json.h"
#include "model/decoder_weights.h"
#include "model/generate.h"
#include "model/kv_budget.h"
#include "small_decoder.h"

namespace attnlab {
namespace {

using nlohmann::json;
using test::read_json;
using test::refusal;
using test::with;

struct RecurrentCase {
  json config;
  const char* architecture;
  const char* tensor;  // one of its files' names
};

std::vector<RecurrentCase> recurrent_cases() {
  const json sizes{
      {"vocab_size", 37}, {"hidden_size", 20}, {"num_hidden_layers", 2}, {"tie_word_embeddings", false}};
  const auto with_all = [&](const json& more) {
    json config = sizes;
    config.update(more);
    return config;
  };
  return {{with_all({{"model_type", "mamba"},
                     {"state_size", 5},
                     {"conv_kernel", 3},
                     {"use_bias", true},
                     {"use_conv_bias", false},
                     {"time_step_rank", 7}}),
           "MambaForCausalLM", "backbone.layers.1.mixer.x_proj.weight"},
          {with_all({{"model_type", "mamba2"},
                     {"num_heads", 4},
                     {"head_dim", 10},
                     {"n_groups", 2},
                     {"state_size", 6},
                     {"time_step_limit", {0.01, 0.5}}}),
           "Mamba2ForCausalLM", "backbone.layers.0.mixer.conv1d.weight"},
          {with_all({{"model_type", "rwkv"},
                     {"intermediate_size", 50},
                     {"attention_hidden_size", 20},
                     {"rescale_every", 2},
                     {"context_length", 64}}),
           "RwkvForCausalLM", "rwkv.blocks.0.pre_ln.bias"}};
}

std::shared_ptr<Decoder> lively_decoder(const DecoderConfig& config) {
  auto decoder = std::make_shared<Decoder>(native_form(config));
  torch::manual_seed(7);
  const torch::NoGradGuard no_grad;
  for (auto& item : decoder->named_parameters()) {
    item.value().normal_(0, 0.3);
    if (item.key().ends_with("norm.weight")) item.value().add_(1);
  }
  return decoder;
}

TEST_CASE("configs of Mamba, Mamba-2 and RWKV read back as they were written") {
  for (const auto& recurrent : recurrent_cases()) {
    INFO(recurrent.architecture);
    const DecoderConfig config = read_json(recurrent.config);
    CHECK_FALSE(decoder_problem(config));
    const json written = json::parse(write_decoder_config(config, "bfloat16").dump());
    CHECK(fields_equal(config, read_json(written)));
    CHECK(written.at("architectures") == json{recurrent.architecture});
    for (const auto& [key, value] : recurrent.config.items()) CHECK(written.at(key) == value);
  }
}

TEST_CASE("what contradicts itself in a recurrent config is refused by its key") {
  const auto cases = recurrent_cases();
  CHECK_THAT(refusal(with(cases[0].config, "hidden_act", "gelu")), ContainsSubstring("hidden_act"));
  CHECK_THAT(refusal(with(cases[0].config, "intermediate_size", 41)),
             ContainsSubstring("expand x hidden_size = 40"));
  CHECK_THAT(refusal(with(cases[1].config, "num_heads", 5)), ContainsSubstring("num_heads: found 5"));
  CHECK_THAT(refusal(with(cases[1].config, "n_groups", 3)), ContainsSubstring("a divisor of num_heads = 4"));
  for (const json& limits : {json(3), json{0.5, 0.1}, json{-1, 2}, json{1}, json{"a", 1}})
    CHECK_THAT(refusal(with(cases[1].config, "time_step_limit", limits)), ContainsSubstring("time_step_limit"));
  for (const json& open : {json(nullptr), json("Infinity")})
    CHECK(refusal(with(cases[1].config, "time_step_limit", json{0.0, open})) == "accepted");
}

TEST_CASE("a recurrent model comes back from its files, under their own names, with the same logits") {
  const torch::NoGradGuard no_grad;
  for (const auto& recurrent : recurrent_cases()) {
    INFO(recurrent.architecture);
    const DecoderConfig config = read_json(recurrent.config);
    const auto decoder = lively_decoder(config);
    const test::TemporaryFolder folder;
    const auto tensors = to_file_tensors(native_form(config), copy_weights(*decoder));
    CHECK(tensors.contains(recurrent.tensor));
    write_checkpoint(folder.path(), write_decoder_config(config), tensors);
    const auto loaded = load_decoder(Checkpoint::open(folder.path()), torch::kFloat32, torch::kCPU);
    const auto ids = test::random_ids(2, 19, 37);
    CHECK(torch::equal(loaded->logits(loaded->hidden(ids)), decoder->logits(decoder->hidden(ids))));
    int64_t parameters = 0;
    for (const auto& parameter : decoder->parameters()) parameters += parameter.numel();
    CHECK(count_parameters(config).total() == parameters);
    CHECK(kv_forms(config).size() == 1);
    CHECK(decoder->cached_numbers_per_token() == 0);
    CHECK(decoder->state_bytes({}, 10, 2) == decoder->state_bytes({}, 100000, 2));
  }
}

TEST_CASE(
    "prompts of several lengths together give what each gives alone, in pieces and with others entering") {
  for (const auto& recurrent : recurrent_cases()) {
    INFO(recurrent.architecture);
    const auto decoder = lively_decoder(read_json(recurrent.config));
    const std::vector<std::vector<int64_t>> prompts{
        {3, 1, 4, 1, 5, 9, 2, 6}, {5}, {3, 5, 8, 9}, {7, 9, 3, 2, 3, 8}};
    std::vector<std::vector<int64_t>> expected;
    for (const auto& prompt : prompts)
      expected.push_back(generate(*decoder, {prompt}, {.max_new_tokens = 9}).at(0));
    CHECK(generate(*decoder, prompts, {.max_new_tokens = 9}) == expected);
    CHECK(generate(*decoder, prompts, {.max_new_tokens = 9, .prefill_chunk = 3}) == expected);
    CHECK(generate(*decoder, prompts, {.max_new_tokens = 9, .batch_rows = 2}) == expected);
  }
}

TEST_CASE("bfloat16 keeps the residual stream in float32 where the config says so") {
  const torch::NoGradGuard no_grad;
  const auto ids = test::random_ids(1, 19, 37);
  for (const auto& recurrent : recurrent_cases()) {
    INFO(recurrent.architecture);
    const auto decoder = lively_decoder(read_json(recurrent.config));
    const auto expected = decoder->logits(decoder->hidden(ids));
    decoder->to(torch::kBFloat16);
    const auto logits = decoder->logits(decoder->hidden(ids));
    CHECK(logits.scalar_type() == torch::kBFloat16);
    CHECK((logits - expected).abs().max().item<double>() < 0.1 * expected.abs().max().item<double>());
  }
}

TEST_CASE("no variant can be made of a model without attention, and it is refused where attention is meant") {
  const DecoderConfig config = read_json(recurrent_cases()[0].config);
  CHECK(variant_names_for(config.attention_shape()) == std::vector<std::string>{"native_recurrence"});
  const auto problem = variant_problem(config.attention_shape(), *variant_defaults("mla_deepseek"));
  REQUIRE(problem);
  CHECK_THAT(describe(*problem), ContainsSubstring("the base has no attention"));
}

}  // namespace
}  // namespace attnlab
