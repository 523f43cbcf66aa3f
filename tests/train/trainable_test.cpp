#include "train/trainable.h"

#include "attention/gqa.h"
#include "attention/mha2mla.h"
#include "attention/mla_identity.h"
#include "catch.h"
#include "core/errors.h"
#include "small_decoder.h"

namespace attnlab {
namespace {

std::vector<std::string> names(const VariantConfig& variant, const std::vector<std::string>& scopes) {
  return trainable_names(Decoder(test::small_config(), variant), scopes, "train.trainable");
}

TEST_CASE("scopes take what they say") {
  CHECK(names(Gqa::Config{}, {"all"}).size() == 21);
  CHECK(names(Gqa::Config{}, {"attention"}).size() == 2 * 4);
  CHECK(names(MlaIdentity::Config{}, {"attention"}).size() == 2 * 6);
  CHECK(names(Gqa::Config{}, {"attention_kv"}) ==
        std::vector<std::string>{
            "model.layers.0.self_attn.k_proj.weight", "model.layers.0.self_attn.v_proj.weight",
            "model.layers.1.self_attn.k_proj.weight", "model.layers.1.self_attn.v_proj.weight"});
  CHECK(names(MlaIdentity::Config{}, {"attention_kv"}).size() == 2 * 4);
  CHECK(names(Gqa::Config{}, {"model.layers.*.mlp.*"}).size() == 2 * 3);
  CHECK(names(Gqa::Config{}, {"*norm*", "lm_head.weight"}).size() == 2 * 2 + 1 + 1);
  CHECK(names(Gqa::Config{}, {"attention", "*q_proj*"}).size() == 2 * 4);
}

TEST_CASE("places of rotary frequencies are in no scope") {
  CHECK(names(Mha2Mla::Config{}, {"all"}).size() == 2 * (5 + 3 + 2) + 3);
  CHECK(names(Mha2Mla::Config{}, {"attention_kv"}).size() == 2 * 3);
  CHECK_THROWS_WITH(names(Mha2Mla::Config{}, {"*rope_frequency"}), ContainsSubstring("no parameter matches"));
  for (const auto& name : names(Mha2Mla::Config{}, {"all"})) CHECK(name.find("rope_frequency") == name.npos);
}

TEST_CASE("the bias on a choice of experts is in no scope") {
  const auto scoped = [](const std::string& scope) {
    return trainable_names(Decoder(native_form(test::small_experts())), {scope}, "train.trainable");
  };
  CHECK(scoped("model.layers.1.mlp.*").size() == 1 + 6 * 3 + 3);
  CHECK(scoped("model.layers.1.mlp.gate.*") == std::vector<std::string>{"model.layers.1.mlp.gate.weight"});
  CHECK_THROWS_WITH(scoped("*correction_bias"), ContainsSubstring("no parameter matches"));
  for (const auto& name : scoped("all")) CHECK(name.find("correction_bias") == name.npos);
}

TEST_CASE("a scope that takes nothing is refused with the nearest one") {
  CHECK_THROWS_WITH(names(Gqa::Config{}, {"attentoin"}), ContainsSubstring("did you mean 'attention'?"));
  CHECK_THROWS_WITH(names(Gqa::Config{}, {"*k_up_proj*"}),
                    ContainsSubstring("train.trainable") && ContainsSubstring("which no parameter matches"));
  CHECK_THROWS_WITH(names(Gqa::Config{}, {}), ContainsSubstring("an empty list"));
}

TEST_CASE("what is not trainable gets no gradient") {
  Decoder decoder(test::small_config(), Gqa::Config{});
  set_trainable(decoder, {"model.norm.weight"});
  for (const auto& parameter : decoder.named_parameters())
    CHECK(parameter.value().requires_grad() == (parameter.key() == "model.norm.weight"));
}

}  // namespace
}  // namespace attnlab
