// Names as tools write them, and what they mean.
#include "checkpoint/tensor_names.h"

#include "catch.h"
#include "core/errors.h"

using namespace attnlab;
using namespace attnlab::test;
using Names = std::vector<std::string>;

namespace {

const Names kPlain{"lm_head.weight", "model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight",
                   "model.norm.weight"};

Names plain_of(const Names& names) {
  Names plain;
  const auto found = plain_names(names, "folder");
  CHECK(found.size() == names.size());
  for (const auto& name : names) plain.push_back(found.at(name));
  return plain;
}

std::string name_refusal(const Names& names) {
  try {
    plain_of(names);
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

Names with_prefix(const std::string& prefix, const Names& names) {
  Names out;
  for (const auto& name : names) out.push_back(prefix + name);
  return out;
}

}  // namespace

TEST_CASE("names of Hugging Face's stay as they are") {
  CHECK(plain_of(kPlain) == kPlain);
  const Names tied(kPlain.begin() + 1, kPlain.end());  // all begin with "model."
  CHECK(plain_of(tied) == tied);
  const Names others{"a", "model.norm.weight", "model.", "."};
  CHECK(plain_of(others) == others);
  CHECK(plain_of({}).empty());
}

TEST_CASE("what stands before the names of all tensors is refused, with who puts it there and what to do") {
  const std::vector<std::array<std::string, 3>> rows{
      {"_orig_mod.", "torch.compile", "model._orig_mod"},
      {"module.", "DistributedDataParallel", "model.module"},
      {"base_model.model.", "PEFT", "merge_and_unload"},
      {"model.", "'model.' before the names of all tensors", "save_pretrained"},
      {"policy.llm.", "'policy.llm.' before the names of all tensors", "save_pretrained"},
      {"_orig_mod.module.", "torch.compile", "model._orig_mod"},
      {"module._orig_mod.", "torch.compile", "model._orig_mod"}};
  for (const auto& [prefix, by, expected] : rows) {
    INFO(prefix);
    const Names names = with_prefix(prefix, kPlain), tied(names.begin() + 1, names.end());
    for (const Names& some : {names, tied})
      CHECK_THAT(name_refusal(some), ContainsSubstring("folder: " + some[0] + ": found ") &&
                                         ContainsSubstring(by) && ContainsSubstring(expected));
  }
}

TEST_CASE("wrappers are refused wherever they stand, and words that only look like one are not") {
  CHECK_THAT(name_refusal({"lm_head.weight", "model._orig_mod.embed_tokens.weight"}),
             ContainsSubstring("model._orig_mod.embed_tokens.weight: found '_orig_mod.', which torch.compile"));
  CHECK_THAT(name_refusal({"model.embed_tokens.weight", "model.layers.0._checkpoint_wrapped_module.mlp.x"}),
             ContainsSubstring("activation checkpointing"));
  CHECK_THAT(name_refusal({"_fsdp_wrapped_module.model.norm.weight"}), ContainsSubstring("FSDP"));
  const Names names{"model.embed_tokens.weight", "model.layers.0.my_orig_mod.weight",
                    "model.layers.0.module.x"};
  CHECK(plain_of(names) == names);
}

TEST_CASE("a beginning that one name lacks stays: the model then misses its tensors") {
  Names names = with_prefix("module.", kPlain);
  names[0] = "lm_head.weight";
  CHECK(plain_of(names) == names);
}

TEST_CASE("names of a base class get their 'model.'") {
  const Names bare{"lm_head.weight", "embed_tokens.weight", "layers.0.mlp.up_proj.weight", "norm.weight"};
  CHECK(plain_of(bare) == kPlain);
  CHECK_THAT(name_refusal(with_prefix("transformer.", bare)), ContainsSubstring("'transformer.' before"));
  // The embedding of a layer that predicts further tokens is not the model's.
  CHECK(plain_of({"embed_tokens.weight", "layers.2.embed_tokens.weight"}) ==
        Names{"model.embed_tokens.weight", "model.layers.2.embed_tokens.weight"});
}

TEST_CASE("an adapter that is not merged is refused with what to do") {
  for (const std::string part : {"q_proj.lora_A.weight", "q_proj.lora_B.default.weight",
                                 "q_proj.base_layer.weight", "q_proj.lora_magnitude_vector"})
    CHECK_THAT(name_refusal({"base_model.model.model.embed_tokens.weight",
                             "base_model.model.model.layers.0.self_attn." + part}),
               ContainsSubstring(part + ": found part of an adapter") && ContainsSubstring("merge_and_unload"));
  CHECK_THAT(name_refusal({"lm_head.modules_to_save.default.weight"}), ContainsSubstring("an adapter"));
}

TEST_CASE("two names of one tensor are refused") {
  CHECK_THAT(name_refusal({"embed_tokens.weight", "layers.0.x", "model.layers.0.x"}),
             ContainsSubstring("model.layers.0.x: found a second name of the tensor layers.0.x"));
}
