// Checkpoints whose matrices are packed integers.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "attention/side_by_side.h"
#include "catch.h"
#include "core/files.h"
#include "model/families/families.h"
#include "small_decoder.h"

namespace attnlab::test {
namespace {

DecoderConfig wide_config() {
  return {.vocab_size = 48,
          .d_model = 64,
          .n_layers = 2,
          .n_heads = 4,
          .n_kv_heads = 2,
          .head_dim = 16,
          .d_ff = 96,
          .max_positions = 64,
          .tie_embeddings = false};
}

struct PackedModel {
  ModelForm form;
  TensorMap packed;  // by the files' names
  TensorMap whole;   // the same numbers, whole
};

// Every matrix of the layers but those of `whole`, rounded to the nearest of its grid.
PackedModel packed_model(const ModelForm& plain, MatrixPacking packing) {
  PackedModel model{.form = plain, .packed = convert_weights(lively_weights(plain.config), plain), .whole = {}};
  model.form.packing = packing;
  model.whole = model.packed;
  for (int64_t i = 0; i < plain.config.n_layers; ++i)
    for (const auto& [name, linear] : linears_of(*make_layer(plain, i))) {
      const std::string module = fmt::format("model.layers.{}.{}", i, name);
      if (packing.whole.contains(module)) continue;
      const auto weight = model.packed.at(module + ".weight");
      auto m = round_to_nearest(weight, {.bits = packing.bits, .sym = packing.sym, .least_zero = 1},
                                packing.group_size);
      const auto parts = pack(m, packing);
      model.packed.erase(module + ".weight");
      model.packed[module + ".qweight"] = parts.qweight;
      model.packed[module + ".qzeros"] = parts.qzeros;
      model.packed[module + ".scales"] = parts.scales;
      model.packed[module + ".g_idx"] = parts.g_idx;
      m.scales_OC = parts.scales.t().to(torch::kFloat32);
      model.whole[module + ".weight"] = dequantised(m);
    }
  return model;
}

Checkpoint saved(const std::filesystem::path& folder, const PackedModel& model) {
  write_checkpoint(folder, write_model_form(model.form), model.packed);
  return Checkpoint::open(folder);
}

torch::Tensor packed_logits(Decoder& decoder) {
  const torch::NoGradGuard no_grad;
  return decoder.logits(decoder.hidden(random_ids(2, 9, decoder.config().vocab_size)));
}

TEST_CASE("a packed checkpoint of any form gives the logits of the numbers that it stands for") {
  std::vector<ModelForm> forms{native_form(wide_config()),
                               {wide_config(), variant_of("mla_deepseek", "kv_lora_rank: 32")},
                               {wide_config(), variant_of("mla_v2")}};
  for (const auto& plain : forms)
    for (const int64_t bits : {2, 3, 4, 8}) {
      MatrixPacking packing{.bits = bits, .group_size = 32, .sym = bits > 3};
      for (int64_t i = 0; i < 2; ++i)
        for (const auto& [name, linear] : linears_of(*make_layer(plain, i)))
          if (!packing_problem(linear->in(), linear->out()).empty() || (i == 1 && name == "mlp.up_proj"))
            packing.whole.insert(fmt::format("model.layers.{}.{}", i, name));
      const PackedModel model = packed_model(plain, packing);
      const TemporaryFolder folder;
      const auto checkpoint = saved(folder.path(), model);
      const ModelForm read = read_checkpoint_form(checkpoint);
      CHECK(read.packing == packing);
      check_checkpoint(checkpoint, read);
      const auto decoder = load_decoder(checkpoint, torch::kFloat32, torch::kCPU);
      Decoder whole(plain);
      load_weights(whole, model.whole);
      whole.eval();
      // The same numbers, multiplied in another order: 96 terms of size 1 through two layers.
      CHECK((packed_logits(*decoder) - packed_logits(whole)).abs().max().item<double>() < 1e-4);
      CHECK(decoder->forward_flops_per_token(8) == whole.forward_flops_per_token(8));
    }
}

TEST_CASE("packed matrices of any variant give what the numbers do that they stand for") {
  for (const auto& name_of : variant_names_for(wide_config().attention_shape())) {
    const ModelForm plain{wide_config(), *variant_defaults(name_of)};
    INFO(name_of);
    MatrixPacking packing{.bits = 8, .group_size = -1, .sym = false};
    for (int64_t i = 0; i < 2; ++i)
      for (const auto& [name, linear] : linears_of(*make_layer(plain, i)))
        if (!packing_problem(linear->in(), linear->out()).empty())
          packing.whole.insert(fmt::format("model.layers.{}.{}", i, name));
    const PackedModel model = packed_model(plain, packing);
    const TemporaryFolder folder;
    const auto decoder = load_decoder(saved(folder.path(), model), torch::kFloat32, torch::kCPU);
    Decoder whole(plain);
    load_weights(whole, model.whole);
    whole.eval();
    CHECK((packed_logits(*decoder) - packed_logits(whole)).abs().max().item<double>() < 1e-3);
  }
}

TEST_CASE("packed matrices decode step by step, absorbed or not, and move to another format") {
  const ModelForm plain{wide_config(), variant_of("mla_deepseek", "kv_lora_rank: 32")};
  MatrixPacking packing{.bits = 8, .group_size = -1};
  for (int64_t i = 0; i < 2; ++i)
    for (const auto& [name, linear] : linears_of(*make_layer(plain, i)))
      if (!packing_problem(linear->in(), linear->out()).empty())
        packing.whole.insert(fmt::format("model.layers.{}.{}", i, name));
  const TemporaryFolder folder;
  const auto decoder =
      load_decoder(saved(folder.path(), packed_model(plain, packing)), torch::kFloat32, torch::kCPU);
  const torch::NoGradGuard no_grad;
  const auto ids = random_ids(1, 7, 48);
  const auto expected = decoder->hidden(ids);
  auto states = decoder->make_states(1, 7);
  std::vector<torch::Tensor> steps;
  for (int64_t t = 0; t < 7; ++t)
    steps.push_back(decoder->hidden(ids.narrow(1, t, 1), {.sequence = {.begin = t}, .states = &states}));
  CHECK((torch::cat(steps, 1) - expected).abs().max().item<double>() < 1e-4);
  decoder->to(torch::kBFloat16);
  for (const auto& item : decoder->named_parameters())
    CHECK(item.value().scalar_type() == (is_packed_integer(item.key())     ? torch::kInt32
                                         : item.key().ends_with(".scales") ? torch::kHalf
                                                                           : torch::kBFloat16));
  // bfloat16 keeps 8 bits of every number on the way.
  CHECK((decoder->hidden(ids).to(torch::kFloat32) - expected).abs().max().item<double>() < 0.2);
}

TEST_CASE("scales are held as a GPU's kernels take them where the file has half precision, else in float32") {
  torch::manual_seed(5);
  const MatrixPacking packing{.bits = 4, .group_size = 32, .sym = false};
  auto model = packed_model(native_form(wide_config()), packing);
  const auto scales_of = [&](torch::ScalarType stored) {
    for (auto& [name, tensor] : model.packed)
      if (name.ends_with(".scales")) tensor = tensor.to(stored);
    const TemporaryFolder folder;
    const auto decoder = load_decoder(saved(folder.path(), model), torch::kBFloat16, torch::kCPU);
    std::set<torch::ScalarType> types;
    for (const auto& item : decoder->named_parameters())
      if (item.key().ends_with(".scales")) types.insert(item.value().scalar_type());
    return types;
  };
  CHECK(scales_of(torch::kHalf) == std::set{torch::kHalf});
  CHECK(scales_of(torch::kBFloat16) == std::set{torch::kFloat32});
}

std::string packed_refusal(const PackedModel& model) {
  const TemporaryFolder folder;
  try {
    load_decoder(saved(folder.path(), model), torch::kFloat32, torch::kCPU);
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST_CASE("packed files that can't be meant are refused with tensor and reason") {
  const PackedModel good = packed_model(native_form(wide_config()), {.bits = 4, .group_size = 32});
  CHECK(packed_refusal(good) == "accepted");
  const std::string q = "model.layers.1.self_attn.q_proj.";
  auto bad = good;
  bad.packed[q + "g_idx"] = torch::full({64}, 7, torch::kInt32);
  CHECK_THAT(packed_refusal(bad),
             ContainsSubstring(q + "g_idx: found group 7 for input 0, expected groups 0 to 1"));
  bad = good;
  bad.packed[q + "qzeros"] = torch::full({2, 8}, static_cast<int32_t>(0x88888888), torch::kInt32);
  CHECK_THAT(packed_refusal(bad), ContainsSubstring(q + "qzeros: found a zero point of 9, expected 8"));
  bad = good;
  bad.packed[q + "qweight"] = torch::zeros({7, 64}, torch::kInt32);
  CHECK_THAT(packed_refusal(bad),
             ContainsSubstring(q + "qweight: found shape [7, 64], expected a tensor of shape [8, 64]"));
  bad = good;
  bad.packed[q + "qweight"] = torch::zeros({8, 64});
  CHECK_THAT(packed_refusal(bad), ContainsSubstring(q + "qweight: found Float"));
  bad = good;
  bad.packed.erase(q + "scales");
  CHECK_THAT(packed_refusal(bad), ContainsSubstring(q + "scales: found no such tensor"));
  bad = good;
  bad.form.packing->bits = 8;
  CHECK_THAT(packed_refusal(bad),
             ContainsSubstring("qweight: found shape [12, 64], expected a tensor of shape [24, 64]"));
}

TEST_CASE("quantised weights that the files don't hold, or have no place in the layout, are refused") {
  PackedModel model = packed_model(native_form(wide_config()), {.bits = 4, .group_size = 32});
  model.packed = model.whole;
  CHECK_THAT(packed_refusal(model),
             ContainsSubstring("found quantised weights, and whole matrices in the files"));
  DecoderConfig odd = wide_config();
  odd.d_ff = 80;
  PackedModel narrow{.form = native_form(odd), .packed = lively_weights(odd), .whole = {}};
  narrow.form.packing = MatrixPacking{};
  narrow.packed.erase("model.layers.0.mlp.up_proj.weight");
  CHECK_THAT(packed_refusal(narrow),
             ContainsSubstring("model.layers.0.mlp.up_proj: found packed, with 64 inputs and 80 outputs"));
}

TEST_CASE("columns sorted by their groups: a packed model computes, is copied and is loaded as before") {
  const ModelForm plain = native_form(wide_config());
  PackedModel model = packed_model(plain, {.bits = 3, .group_size = 32, .desc_act = true, .sym = false});
  torch::manual_seed(71);
  for (auto& [name, tensor] : model.packed)
    if (name.ends_with(".g_idx")) tensor = tensor.index_select(0, torch::randperm(tensor.size(0)));
  const TemporaryFolder folder;
  auto decoder = load_decoder(saved(folder.path(), model), torch::kFloat32, torch::kCPU);
  const auto expected = packed_logits(*decoder);
  const auto before = copy_weights(*decoder);
  sort_packed_columns(*decoder);
  const std::string words = "model.layers.0.mlp.down_proj.qweight";
  CHECK_FALSE(torch::equal(decoder->named_parameters()[words], before.at(words)));
  CHECK(torch::equal(packed_logits(*decoder), expected));
  const auto after = copy_weights(*decoder);
  REQUIRE(after.size() == before.size());
  for (const auto& [name, tensor] : before) {
    INFO(name);
    CHECK(torch::equal(after.at(name), tensor));
  }
  decoder->to(torch::kCPU, torch::kFloat32);
  CHECK(torch::equal(packed_logits(*decoder), expected));
  load_weights(*decoder, before);
  CHECK(torch::equal(decoder->named_parameters()[words], before.at(words)));
  CHECK(torch::equal(packed_logits(*decoder), expected));
}

}  // namespace
}  // namespace attnlab::test
