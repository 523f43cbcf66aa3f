// Model folders as tools and people leave them: what is read, what is passed over with a note, what is refused.
#include <functional>
#include <nlohmann/json.hpp>

#include "catch.h"
#include "core/files.h"
#include "model/decoder_weights.h"
#include "model/families/families.h"
#include "small_decoder.h"

namespace attnlab {
namespace {

using nlohmann::json;
using test::small_config;
using test::TemporaryFolder;
namespace fs = std::filesystem;

torch::Tensor some_ids() { return torch::tensor({{3, 1, 4, 1, 5, 9, 2, 6}}); }

torch::Tensor logits_of(const fs::path& folder, std::vector<std::string>* notes = nullptr) {
  const torch::NoGradGuard no_grad;
  const auto checkpoint = Checkpoint::open(folder);
  const auto decoder = load_decoder(checkpoint, torch::kFloat32, torch::kCPU);
  if (notes) *notes = checkpoint.notes();
  return decoder->logits(decoder->hidden(some_ids()));
}

// The message without the folder's name.
std::string folder_refusal(const fs::path& folder) {
  try {
    logits_of(folder);
  } catch (const InputError& error) {
    std::string text = error.what();
    for (size_t at = 0; (at = text.find(folder.string() + "/", at)) != std::string::npos;)
      text.erase(at, folder.string().size() + 1);
    return text;
  }
  return "accepted";
}

// A folder of a small model, in one file or in two shards with an index, any part of which may be changed.
struct Folder {
  TemporaryFolder place;
  DecoderConfig config = small_config();
  json config_json;
  TensorMap weights;

  explicit Folder(bool tied = false) {
    config.tie_embeddings = tied;
    config_json = json::parse(write_decoder_config(config).dump());
    weights = random_base_weights(config, 3);
    for (auto& [name, tensor] : weights) tensor = tensor + 0.3 * torch::randn(tensor.sizes());
  }
  const fs::path& path() const { return place.path(); }
  void write() const { write_checkpoint(path(), config_json, weights); }
  // Tensors in turn into two files; `change` may spoil files and index.
  void write_shards(const std::function<void(std::array<TensorMap, 2>&, json&)>& change) const {
    std::array<TensorMap, 2> shards;
    json index{{"weight_map", json::object()}};
    const auto name_of_shard = [](size_t i) {
      return "model-0000" + std::to_string(i + 1) + "-of-00002.safetensors";
    };
    size_t next = 0;
    for (const auto& [name, tensor] : weights) {
      index["weight_map"][name] = name_of_shard(next);
      shards[next][name] = tensor;
      next = 1 - next;
    }
    change(shards, index["weight_map"]);
    write_file_atomic(path() / kConfigFile, config_json.dump());
    for (size_t i = 0; i < 2; ++i) write_safetensors(path() / name_of_shard(i), shards[i]);
    write_file_atomic(path() / kIndexFile, index.dump());
  }
};

bool same(const torch::Tensor& a, const torch::Tensor& b) { return torch::equal(a, b); }

TensorMap renamed(const TensorMap& weights, const std::function<std::string(const std::string&)>& name) {
  TensorMap out;
  for (const auto& [old, tensor] : weights) out[name(old)] = tensor;
  return out;
}

}  // namespace

TEST_CASE("an output matrix of its own is used although config.json says tied, with a note") {
  Folder untied(false), tied(true);
  untied.write();
  tied.weights = untied.weights;  // with an lm_head of its own
  tied.write();
  std::vector<std::string> notes;
  CHECK(same(logits_of(tied.path(), &notes), logits_of(untied.path())));
  REQUIRE(notes.size() == 1);
  CHECK_THAT(notes[0], ContainsSubstring("config.json: tie_word_embeddings is true") &&
                           ContainsSubstring("lm_head.weight"));
  // What is written from it says so.
  const auto checkpoint = Checkpoint::open(tied.path());
  const ModelForm form = read_checkpoint_form(checkpoint);
  CHECK_FALSE(form.config.tie_embeddings);
  CHECK(write_model_form(form).at("tie_word_embeddings") == false);
  CHECK(read_outer_weights(checkpoint, form, torch::kFloat32, torch::kCPU).count("lm_head.weight") == 1);
  CHECK(read_base_weights(checkpoint, form.config).count("lm_head.weight") == 1);
  // Who insists on the config is told, instead of getting the embedding in silence.
  CHECK_THROWS_WITH(read_base_weights(checkpoint, tied.config),
                    ContainsSubstring("lm_head.weight: found other numbers than those of model.embed_tokens"));
}

TEST_CASE("an output matrix that is the embedding is passed over in silence, in another element type, too") {
  Folder tied(true);
  tied.write();
  const auto expected = logits_of(tied.path());
  tied.weights["lm_head.weight"] = tied.weights["model.embed_tokens.weight"].to(torch::kFloat64);
  tied.write();
  std::vector<std::string> notes;
  CHECK(same(logits_of(tied.path(), &notes), expected));
  CHECK(notes.empty());
  CHECK(read_checkpoint_form(Checkpoint::open(tied.path())).config.tie_embeddings);
  tied.weights["lm_head.weight"] = torch::ones({3, 3});
  tied.write();
  CHECK_THAT(folder_refusal(tied.path()), ContainsSubstring("lm_head.weight: found shape [3, 3]"));
}

TEST_CASE("of two tied matrices either may be the one that is kept") {
  Folder tied(true);
  tied.write();
  const auto expected = logits_of(tied.path());
  const TensorMap kept = renamed(tied.weights, [](const auto& name) {
    return name == "model.embed_tokens.weight" ? "lm_head.weight" : name;
  });
  tied.weights = kept;
  tied.write();
  std::vector<std::string> notes;
  CHECK(same(logits_of(tied.path(), &notes), expected));
  CHECK(notes.empty());
  const auto checkpoint = Checkpoint::open(tied.path());
  const auto outer =
      read_outer_weights(checkpoint, read_checkpoint_form(checkpoint), torch::kFloat32, torch::kCPU);
  CHECK(outer.count("model.embed_tokens.weight") == 1);
  fs::remove(tied.path() / kWeightsFile);
  tied.write_shards([](auto&, json& map) { map["model.embed_tokens.weight"] = map.front(); });
  CHECK(same(logits_of(tied.path()), expected));
  // Without the tie it is missing.
  tied.config_json["tie_word_embeddings"] = false;
  tied.write();
  CHECK_THAT(folder_refusal(tied.path()), ContainsSubstring("model.embed_tokens.weight: found no such tensor"));
}

TEST_CASE("what is redundant in one file is redundant in shards") {
  Folder tied(true);
  tied.write();
  const auto expected = logits_of(tied.path());
  fs::remove(tied.path() / kWeightsFile);
  const auto inv_freq = torch::pow(tied.config.rope_theta, torch::arange(0, tied.config.head_dim, 2) /
                                                               static_cast<double>(-tied.config.head_dim));
  const std::string buffer = "model.layers.0.self_attn.rotary_emb.inv_freq";
  std::vector<std::string> notes;
  // The index names an output matrix that was dropped.
  tied.write_shards([](auto&, json& map) { map["lm_head.weight"] = map.front(); });
  CHECK(same(logits_of(tied.path(), &notes), expected));
  // Buffers that the index leaves out, one of them in both shards.
  tied.write_shards([&](auto& shards, json&) { shards[0][buffer] = shards[1][buffer] = inv_freq; });
  CHECK(same(logits_of(tied.path(), &notes), expected));
  CHECK(notes.empty());
  // An output matrix that the index leaves out, equal and not.
  const auto embedding = tied.weights.at("model.embed_tokens.weight");
  tied.write_shards([&](auto& shards, json&) { shards[1]["lm_head.weight"] = embedding; });
  CHECK(same(logits_of(tied.path(), &notes), expected));
  CHECK(notes.empty());
  tied.write_shards([&](auto& shards, json&) { shards[1]["lm_head.weight"] = embedding + 1; });
  CHECK_THAT(folder_refusal(tied.path()), ContainsSubstring("lm_head.weight: found a tensor that"));
}

TEST_CASE("what the model needs must be where the index says, and nothing else beside it") {
  const Folder folder;
  const std::string name = "model.layers.0.mlp.up_proj.weight";
  folder.write_shards([&](auto&, json& map) { map.erase(name); });
  CHECK_THAT(folder_refusal(folder.path()),
             ContainsSubstring(name + ": found a tensor that model.safetensors.index.json doesn't name"));
  folder.write_shards([&](auto& shards, json&) { shards[0].erase(name), shards[1].erase(name); });
  CHECK_THAT(folder_refusal(folder.path()), ContainsSubstring("weight_map." + name + ": found no such tensor"));
  folder.write_shards([&](auto& shards, json&) { shards[0][name] = shards[1][name] = torch::ones({28, 20}); });
  CHECK_THAT(folder_refusal(folder.path()), ContainsSubstring(name + ": found a tensor that is in model-0000"));
  folder.write_shards([&](auto&, json& map) { map["model.surplus"] = map.front(); });
  CHECK_THAT(folder_refusal(folder.path()),
             ContainsSubstring("weight_map.model.surplus: found no such tensor"));
  folder.write_shards([&](auto& shards, json&) { shards[0]["model.surplus"] = torch::ones({1}); });
  CHECK_THAT(folder_refusal(folder.path()), ContainsSubstring("model.surplus: found a tensor that model"));
  folder.write_shards([](auto&, json& map) { map["lm_head.weight"] = "model-00002-of-00002.safetensors"; });
  CHECK_THAT(folder_refusal(folder.path()), ContainsSubstring("lm_head.weight: found"));
}

TEST_CASE("names of the base class are the model's, names in wrappers are refused") {
  for (const bool tied : {false, true}) {
    Folder folder(tied);
    folder.write();
    const auto expected = logits_of(folder.path());
    const TensorMap plain = folder.weights;
    folder.weights =
        renamed(plain, [](const auto& name) { return name.starts_with("model.") ? name.substr(6) : name; });
    folder.write();
    std::vector<std::string> notes;
    CHECK(same(logits_of(folder.path(), &notes), expected));
    CHECK(notes.empty());
    for (const std::string prefix : {"_orig_mod.", "module.", "base_model.model."}) {
      folder.weights = renamed(plain, [&](const auto& name) { return prefix + name; });
      folder.write();
      CHECK_THAT(folder_refusal(folder.path()), ContainsSubstring(": found '" + prefix + "', which "));
    }
  }
}

TEST_CASE("scales of an fp8 cache, rotary tables and other frequencies are passed over with one note each") {
  Folder folder;
  folder.write();
  const auto expected = logits_of(folder.path());
  const TensorMap plain = folder.weights;
  const auto notes_with = [&](const TensorMap& more) {
    folder.weights = plain;
    for (const auto& [name, tensor] : more) folder.weights[name] = tensor;
    folder.write();
    std::vector<std::string> notes;
    CHECK(same(logits_of(folder.path(), &notes), expected));
    return notes;
  };
  const std::string layer = "model.layers.0.self_attn.", other = "model.layers.1.self_attn.";
  const auto one = torch::ones({1});
  auto notes = notes_with({{layer + "k_scale", one},
                           {other + "v_scale", one},
                           {layer + "k_proj.k_scale", one},
                           {layer + "v_proj.output_scale", one},
                           {layer + "attn.kv_scale", one}});
  REQUIRE(notes.size() == 1);
  CHECK_THAT(notes[0], ContainsSubstring("(5 tensors like it): scales of a cache in fp8"));
  const auto pairs = folder.config.head_dim / 2;
  notes = notes_with({{layer + "rotary_emb.inv_freq", torch::rand({pairs})},
                      {layer + "rotary_emb.cos_cached", torch::rand({4, pairs})}});
  REQUIRE(notes.size() == 2);
  CHECK_THAT(notes[0],
             ContainsSubstring("inv_freq (1 tensor): rotary frequencies that are not those of config"));
  CHECK_THAT(notes[1], ContainsSubstring("cos_cached (1 tensor): tables of rotary position"));
  // The frequencies of config.json need no note, in any precision.
  const auto exact = torch::pow(folder.config.rope_theta, torch::arange(0, folder.config.head_dim, 2) /
                                                              static_cast<double>(-folder.config.head_dim));
  for (const auto type : {torch::kFloat32, torch::kFloat64, torch::kBFloat16, torch::kHalf})
    CHECK(notes_with({{layer + "rotary_emb.inv_freq", exact.to(type)}, {"model.rotary_emb.inv_freq", exact}})
              .empty());
  CHECK(notes_with({{layer + "rotary_emb.inv_freq", exact * 1.01}}).size() == 1);
}

TEST_CASE("layers that predict further tokens are known by their eh_proj, others are too many") {
  Folder folder;
  folder.write();
  const auto expected = logits_of(folder.path());
  const TensorMap plain = folder.weights;
  const auto more_layers = [&](int64_t first, int64_t last, bool marked) {
    folder.weights = plain;
    for (int64_t i = first; i <= last; ++i) {
      const std::string prefix = "model.layers." + std::to_string(i) + ".";
      for (const auto& [name, tensor] : plain)
        if (name.starts_with("model.layers.0.")) folder.weights[prefix + name.substr(15)] = tensor;
      if (marked) folder.weights[prefix + "eh_proj.weight"] = torch::ones({2, 4});
      if (marked) folder.weights[prefix + "embed_tokens.weight"] = torch::ones({2, 4});
    }
    folder.write();
  };
  const int64_t n = folder.config.n_layers;
  std::vector<std::string> notes;
  for (const int64_t last : {n, n + 1}) {
    more_layers(n, last, true);
    CHECK(same(logits_of(folder.path(), &notes), expected));
    REQUIRE(notes.size() == 1);
    CHECK_THAT(notes[0], ContainsSubstring("layers that predict further tokens"));
  }
  more_layers(n, n, false);
  CHECK_THAT(folder_refusal(folder.path()),
             ContainsSubstring("found a tensor that the model does not have, expected "
                               "the " +
                               std::to_string(n) + " layers") &&
                 !ContainsSubstring("did you mean"));
}

TEST_CASE("what could change the result is refused, and no far-fetched name is proposed") {
  const auto refusal_with = [](const std::string& name) {
    Folder folder;
    folder.weights[name] = torch::ones({2});
    folder.write();
    return folder_refusal(folder.path());
  };
  for (const char* name : {"model.layers.0.self_attn.q_proj.bias", "model.layers.0.self_attn.q_norm.scale",
                           "lm_head.bias", "model.layers.0.mlp.experts.0.w1", "score.weight"}) {
    const auto text = refusal_with(name);
    CHECK_THAT(text, ContainsSubstring(std::string(name) + ": found a tensor that the model does not have"));
    CHECK_THAT(text, !ContainsSubstring("did you mean"));
  }
  CHECK_THAT(refusal_with("model.layers.0.mlp.up_proj.wieght"),
             ContainsSubstring("did you mean 'model.layers.0.mlp.up_proj.weight'?"));
  CHECK_THAT(refusal_with("model.layers.0.mlp.up_proj.weight_scale"), ContainsSubstring("not quantised"));
}

// Each folder: a checkpoint, ids.safetensors, and what transformers computes in expect.safetensors.
TEST_CASE("folders as people have them give the logits of Hugging Face transformers, or one line") {
  const auto root = test::shared_dir() / "fixtures" / "reports";
  if (!fs::exists(root)) SKIP_TEST("no reference folders beside the checkout");
  const torch::NoGradGuard no_grad;
  int compared = 0, refused = 0;
  for (const auto& entry : fs::directory_iterator(root)) {
    const fs::path& folder = entry.path();
    if (!fs::exists(folder / "ids.safetensors")) continue;
    INFO(folder);
    // transformers finds no weight under such names: what it computes is from random ones.
    const bool wrapped = folder.filename() == "08-orig-mod-prefix";
    if (wrapped || !fs::exists(folder / "expect.safetensors")) {
      CHECK_THROWS_AS(logits_of(folder), InputError);
      ++refused;
      continue;
    }
    const auto ids = SafetensorsFile::open(folder / "ids.safetensors");
    const auto decoder = load_decoder(Checkpoint::open(folder), torch::kFloat32, torch::kCPU);
    const auto found = decoder->logits(decoder->hidden(ids.tensor(ids.names().at(0)).to(torch::kInt64)));
    const auto expected = SafetensorsFile::open(folder / "expect.safetensors").tensor("logits");
    REQUIRE(found.sizes() == expected.sizes());
    // float32 on both sides: 2⁻²³ for each of some 20 roundings on the way of the largest logit, and as much
    // again for the tail.
    const double largest = expected.abs().max().item<double>();
    CHECK((found - expected).abs().max().item<double>() < 2 * 20 * 0x1p-23 * largest);
    ++compared;
  }
  CHECK(compared > 0);
  CHECK(refused > 0);
}

}  // namespace attnlab
