// Storages of caches: quantisers on given numbers, and whole models that decode from coded caches.
#include <fmt/format.h>

#include <functional>
#include <map>
#include <optional>
#include <regex>

#include "crosscheck/check_cache.h"
#include "state/latent_record.h"
#include "state/layer_state.h"
#include "state/policy.h"
#include "state/quantise.h"
#include "state/storage_forms.h"

namespace attnlab {
namespace {

torch::Tensor where_codes_agree(const torch::Tensor& ours, const torch::Tensor& expected,
                                const torch::Tensor& our_codes, const torch::Tensor& their_codes) {
  return torch::where(our_codes.to(torch::kInt64) == their_codes.to(torch::kInt64), ours, expected);
}

// Rows of words [.., n·bits/32] as int32, the first code in the lowest bits.
torch::Tensor words_of(const torch::Tensor& codes, int64_t bits) {
  return pack_bits(codes, bits).contiguous().view(torch::kInt32);
}

void compare_affine(CaseCheck& check, const CaseFile& file, const std::string& name, const Affine& ours,
                    const torch::Tensor& read, bool along_tokens) {
  const auto turned = [&](const torch::Tensor& x) { return along_tokens ? x.transpose(1, 2) : x; };
  const auto codes = file.tensor(name + "_codes", torch::kUInt8);
  check.equal(name + "_codes", turned(ours.codes), codes, kBoundaryShare);
  check.compare(name + "_scale", turned(ours.scale), file.tensor(name + "_scale"), kScales);
  check.compare(name + "_min", turned(ours.min), file.tensor(name + "_min"), kScales);
  const auto expected = file.tensor(name + "_dequantised");
  check.compare(name + "_dequantised", where_codes_agree(turned(read), expected, turned(ours.codes), codes),
                expected, kRead);
}

// k [G, T, H] in groups of tokens by channel.
Affine by_channel(const torch::Tensor& x_GTH, int64_t bits, int64_t group) {
  return quantise_affine(x_GTH.transpose(1, 2).contiguous(), bits, group);
}

void check_constant_group(const CaseFile& file, CaseCheck& check) {
  const auto ours = by_channel(file.tensor("k"), param(file, "bits"), param(file, "group_size"));
  compare_affine(check, file, "k", ours, read_affine(ours, torch::kFloat64), true);
}

// One slot of KV heads [G, T, H] in a storage.
class Stored {
 public:
  Stored(const StoragePlan& plan, const torch::Tensor& x_GTH, Serves serves)
      : x_1TW_(x_GTH.transpose(0, 1).flatten(1).unsqueeze(0)), heads_(x_GTH.size(0)) {
    const StateSlot slot{.name = "x", .width = x_1TW_.size(2), .heads = heads_, .serves = serves};
    if (auto problem = plan->problem(slot)) throw InputError(*problem);
    storage_ = plan->make({slot, 1, x_1TW_.size(1), x_1TW_.options()});
  }
  // The next tokens, as a pass of their own.
  void append(int64_t tokens) {
    storage_->append(x_1TW_.narrow(1, storage_->length(), tokens));
    storage_->settle({});
  }
  torch::Tensor read() const { return storage_->read()[0].unflatten(1, {heads_, -1}).transpose(0, 1); }
  // Tokens that differ from what came, which are the oldest.
  int64_t coded() const {
    const auto came = x_1TW_.narrow(1, 0, storage_->length());
    return (storage_->read() != came).any(2).sum().item<int64_t>();
  }

 private:
  torch::Tensor x_1TW_;
  int64_t heads_;
  std::unique_ptr<TokenStorage> storage_;
};

StorageConfig kivi_config(const CaseFile& file) {
  return {.name = CacheStorageName::kivi,
          .bits = param(file, "bits"),
          .group = param(file, "group_size"),
          .residual = param(file, "residual_length")};
}

// What a storage reads behind a prompt: its coded tokens, then the others as they came.
void compare_prompt(CaseCheck& check, const CaseFile& file, const std::string& name, Serves serves,
                    int64_t coded_tokens, const torch::Tensor& our_codes) {
  const auto x_GTH = file.tensor(name);
  const int64_t T = x_GTH.size(1);
  Stored stored(storage_form(kivi_config(file)), x_GTH, serves);
  stored.append(T);
  check.expect(name + ": tokens coded", stored.coded() == coded_tokens);
  const auto read = stored.read();
  check.compare(name + " as it came", read.narrow(1, coded_tokens, T - coded_tokens),
                x_GTH.narrow(1, coded_tokens, T - coded_tokens), {});
  if (coded_tokens == 0) return;
  const auto expected = file.tensor(name + "_dequantised");
  const auto codes = file.tensor(name + "_codes", torch::kUInt8);
  check.compare(name + " in the storage",
                where_codes_agree(read.narrow(1, 0, coded_tokens), expected, our_codes, codes), expected,
                kRead);
}

void check_kivi_prompt(const CaseFile& file, CaseCheck& check) {
  const int64_t bits = param(file, "bits"), group = param(file, "group_size");
  const int64_t keys = file.integer("quantised_keys"), values = file.integer("quantised_values");
  torch::Tensor k_codes, v_codes;
  if (keys > 0) {
    const auto ours = by_channel(file.tensor("k").narrow(1, 0, keys), bits, group);
    compare_affine(check, file, "k", ours, read_affine(ours, torch::kFloat64), true);
    k_codes = ours.codes.transpose(1, 2);
    const auto theirs = file.tensor("k_codes", torch::kUInt8).transpose(1, 2).contiguous();
    check.equal("k_packed", words_of(theirs, bits).transpose(1, 2), file.tensor("k_packed", torch::kInt32));
  }
  if (values > 0) {
    const auto ours =
        quantise_affine(file.tensor("v").narrow(1, 0, values), bits, std::min(group, file.tensor("v").size(2)));
    compare_affine(check, file, "v", ours, read_affine(ours, torch::kFloat64), false);
    v_codes = ours.codes;
    check.equal("v_packed", words_of(file.tensor("v_codes", torch::kUInt8), bits),
                file.tensor("v_packed", torch::kInt32));
  }
  compare_prompt(check, file, "k", Serves::keys, keys, k_codes);
  compare_prompt(check, file, "v", Serves::values, values, v_codes);
}

void check_kivi_stream(const CaseFile& file, CaseCheck& check) {
  const auto k_GTH = file.tensor("k"), v_GTH = file.tensor("v");
  const auto plan = storage_form(kivi_config(file));
  Stored k(plan, k_GTH, Serves::keys), v(plan, v_GTH, Serves::values);
  const auto lengths = file.tensor("lengths", torch::kInt64);
  const int64_t prompt = param(file, "prompt");
  std::vector<torch::Tensor> ours;
  for (int64_t step = 0; step < lengths.size(0); ++step) {
    const int64_t seen = prompt + step;
    for (auto* slot : {&k, &v}) slot->append(step == 0 ? prompt : 1);
    ours.push_back(torch::tensor({k.coded(), seen - k.coded(), v.coded(), seen - v.coded()}));
  }
  check.equal("lengths", torch::stack(ours), lengths);
  compare_read(check, "k_read", k.read(), file.tensor("k_read"));
  compare_read(check, "v_read", v.read(), file.tensor("v_read"));
}

void check_kivi(const CaseFile& file, CaseCheck& check) {
  return file.has("lengths") ? check_kivi_stream(file, check) : check_kivi_prompt(file, check);
}

// int8, int4 and three scalings of fp8 of the same numbers.
void check_plain(const CaseFile& file, CaseCheck& check, const std::string& name) {
  const auto x_GTH = file.tensor(name);
  const int64_t H = x_GTH.size(2);
  const auto scale_of = [&](const std::string& of) { return file.tensor(of + "_scale").reshape({-1}); };
  {
    const std::string of = name + "_int8";
    const auto ours = quantise_symmetric(x_GTH, H);
    const auto codes = file.tensor(of + "_codes", torch::kInt8);
    check.equal(of + "_codes", ours.codes, codes, kBoundaryShare);
    check.compare(of + "_scale", ours.scale.reshape({-1}), scale_of(of), kScales);
    const auto expected = file.tensor(of);
    check.compare(of, where_codes_agree(read_symmetric(ours, torch::kFloat64), expected, ours.codes, codes),
                  expected, kRead);
  }
  {
    const std::string of = name + "_int4";
    const auto codes = file.tensor(of + "_codes", torch::kUInt8);
    const auto ours = quantise_affine(x_GTH, 4, H / file.tensor(of + "_scale").size(-1));
    check.equal(of + "_codes", ours.codes, codes, kBoundaryShare);
    check.compare(of + "_scale", ours.scale, file.tensor(of + "_scale"), kScales);
    check.compare(of + "_min", ours.min, file.tensor(of + "_min"), kScales);
    const auto expected = file.tensor(of);
    check.compare(of, where_codes_agree(read_affine(ours, torch::kFloat64), expected, ours.codes, codes),
                  expected, kRead);
  }
  const std::map<std::string, torch::Tensor> scales{
      {"_fp8_scale1", torch::ones({1}, torch::kFloat64)},
      {"_fp8_tensor", fp8_scales(x_GTH.reshape({-1}), x_GTH.numel(), Fp8Scales::amax)},
      {"_fp8_token", fp8_scales(x_GTH, H, Fp8Scales::amax).reshape({-1})}};
  for (const auto& [suffix, scale] : scales) {
    const std::string of = name + suffix;
    check.compare(of + "_scale", scale, scale_of(of), kScales);
    // Bytes are exact given the scale, which is float32 there.
    const auto theirs = file.tensor(of + "_scale", torch::kFloat32).reshape({-1, 1});
    const auto rows = file.tensor(name, torch::kFloat32).reshape({theirs.size(0), -1});
    const auto bytes = to_fp8(rows, theirs);
    check.equal(of + "_bytes", bytes.view(x_GTH.sizes()), file.tensor(of + "_bytes", torch::kUInt8));
    check.compare(of, from_fp8(bytes, theirs, torch::kFloat32).view(x_GTH.sizes()), file.tensor(of), kRead);
  }
}

LatentRecord record_of(const CaseFile& file) {
  return {.rank = param(file, "latent"),
          .rope = param(file, "rope"),
          .tile = param(file, "tile"),
          .scales = Fp8Scales::power_of_two};
}

// A block's bytes behind a token's scales are whatever they were.
torch::Tensor without_unused_scales(const torch::Tensor& blocks, const LatentRecord& form) {
  auto out = blocks.clone();
  const int64_t n = blocks.size(1) / (form.rank + 2 * form.rope + 8);
  out.narrow(1, blocks.size(1) - 8 * n, 8 * n)
      .unflatten(1, {n, 8})
      .narrow(2, form.tiles(), 8 - form.tiles())
      .zero_();
  return out;
}

void check_flashmla(const CaseFile& file, CaseCheck& check) {
  const LatentRecord form = record_of(file);
  const auto x = file.tensor("latent", torch::kBFloat16), bytes = file.tensor("bytes", torch::kUInt8);
  const auto layout = params_of(file).value("layout", "");
  torch::Tensor ours, read, scales;
  if (layout == "V32_FP8Sparse") {
    ours = to_record(x, form);
    read = from_record(bytes, form, torch::kBFloat16);
    scales = fp8_scales(x.narrow(1, 0, form.rank).to(torch::kFloat32), form.tile, form.scales);
  } else if (layout == "MODEL1_FP8Sparse") {
    std::vector<torch::Tensor> blocks, numbers, of_blocks;
    const int64_t n = x.size(0) / bytes.size(0);
    for (int64_t block = 0; block < bytes.size(0); ++block) {
      blocks.push_back(to_block(x.narrow(0, block * n, n), form));
      numbers.push_back(from_block(bytes[block], n, form));
      of_blocks.push_back(scales_of_block(blocks.back(), n, form));
    }
    ours = torch::stack(blocks), read = torch::cat(numbers), scales = torch::cat(of_blocks);
  } else {
    return check.not_checked(fmt::format("the layout '{}' is not known", layout));
  }
  check.equal("bytes", ours, layout == "MODEL1_FP8Sparse" ? without_unused_scales(bytes, form) : bytes);
  check.compare("scale", scales, file.tensor("scale"), kScales);
  check.compare("dequantised", read, file.tensor("dequantised"), kRead);
}

// A latent coded as a name says: fp8_pow2_tile128, fp8_tile128, int8_tile128, int4_group32. nullopt: no such
// name.
std::optional<torch::Tensor> latent_coded_as(const std::string& name, const torch::Tensor& x) {
  std::smatch found;
  static const std::regex form("(fp8_pow2|fp8|int)([0-9]*)_(tile|group)([0-9]+)");
  if (!std::regex_match(name, found, form)) return std::nullopt;
  const int64_t group = std::stoll(found[4].str());
  if (found[1] == "int" && found[3] == "tile")
    return read_symmetric(quantise_symmetric(x, group), torch::kFloat64);
  if (found[1] == "int")
    return read_affine(quantise_affine(x, std::stoll(found[2].str()), group), torch::kFloat64);
  const auto scales = fp8_scales(x, group, found[1] == "fp8" ? Fp8Scales::amax : Fp8Scales::power_of_two);
  return from_fp8(to_fp8(x, scales), scales, torch::kFloat64);
}

void check_latent(const CaseFile& file, CaseCheck& check) {
  const auto x = file.tensor("latent");
  for (const auto& quantiser : params_of(file).at("quantisers")) {
    const auto name = quantiser.get<std::string>();
    const auto read = latent_coded_as(name, x);
    if (!read) return check.not_checked(fmt::format("the quantiser '{}' is not known", name));
    compare_read(check, name, *read, file.tensor(name));
  }
}

// What a text of the parameters says: "per token and tile of 32". 0: nothing.
int64_t group_said(const std::string& scheme) {
  std::smatch found;
  return std::regex_search(scheme, found, std::regex("(tile|group) of ([0-9]+)")) ? std::stoll(found[2].str())
                                                                                  : 0;
}

std::optional<StorageConfig> storage_said(const CaseFile& file, const Decoder& decoder) {
  const auto method = file.text("method");
  const auto scheme = params_of(file).value("scheme", "");
  const int64_t group = group_said(scheme);
  if (method == "kivi") return kivi_config(file);
  if (method == "int8 per token" || method == "int8 MLA latent")
    return StorageConfig{.name = CacheStorageName::int8, .group = group};
  // "over a head of a token"
  if (method == "int4 per token")
    return StorageConfig{.name = CacheStorageName::int4,
                         .group = group > 0 ? group : decoder.config().head_dim};
  if (method == "int4 MLA latent") return StorageConfig{.name = CacheStorageName::int4, .group = group};
  if (method == "fp8 per token" || method == "fp8 MLA latent")
    return StorageConfig{
        .name = CacheStorageName::fp8,
        .group = group,
        .fp8_scales = scheme.starts_with("power-of-two") ? Fp8Scales::power_of_two : Fp8Scales::amax};
  return std::nullopt;
}

void check_whole_model(const CaseFile& file, CaseCheck& check) {
  const auto decoder = model_of(file);
  if (!decoder) return check.not_checked(fmt::format("no folder {} here", file.text("model")));
  const auto config = storage_said(file, *decoder);
  if (!config) return check.not_checked(fmt::format("no storage here is {}", file.text("method")));
  compare_decoding(file, check, *decoder, {.storage = storage_form(*config), .as_computed = false});
}

using Check = std::function<void(const CaseFile&, CaseCheck&)>;

const std::map<std::string, Check>& checks() {
  static const std::map<std::string, Check> known{{"affine quantiser, constant group", check_constant_group},
                                                  {"kivi", check_kivi},
                                                  {"int8, int4, fp8 per token",
                                                   [](const CaseFile& file, CaseCheck& check) {
                                                     check_plain(file, check, "k"),
                                                         check_plain(file, check, "v");
                                                   }},
                                                  {"fp8 MLA latent", check_flashmla},
                                                  {"MLA latent, per-token groups", check_latent},
                                                  {"transformers QuantizedCache", check_transformers_cache},
                                                  {"fp8 per token", check_whole_model},
                                                  {"int8 per token", check_whole_model},
                                                  {"int4 per token", check_whole_model},
                                                  {"int8 MLA latent", check_whole_model},
                                                  {"int4 MLA latent", check_whole_model}};
  return known;
}

}  // namespace

bool is_storage(const CaseFile& file) {
  return is_kvquant(file) || checks().contains(file.facts.value("method", ""));
}

void check_storage(const CaseFile& file, CaseCheck& check) {
  if (is_kvquant(file)) return check_kvquant(file, check);
  if (file.facts.contains("model")) return check_whole_model(file, check);
  checks().at(file.text("method"))(file, check);
}

}  // namespace attnlab
