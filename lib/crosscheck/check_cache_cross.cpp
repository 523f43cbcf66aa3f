// Caches that layers share: MiniCache's merged pairs, and models of which some layers read the cache of
// another.
#include <fmt/format.h>

#include "core/errors.h"
#include "crosscheck/check_cache.h"
#include "model/padded_batch.h"
#include "state/minicache.h"
#include "state/storage_forms.h"

namespace attnlab {
namespace {

// arccos near 0 and π: the README of the vectors.
constexpr Allowed kMerged{.relative = 2e-6};

double share_of_params(const CaseFile& file, const char* key) {
  const auto& params = params_of(file);
  if (!params.contains(key) || !params[key].is_number())
    throw InputError(BadInput{.file = file.path.string(),
                              .key = std::string("params.") + key,
                              .found = params.contains(key) ? params[key].dump() : "nothing",
                              .expected = "a number"});
  return params[key].get<double>();
}

std::optional<RetainRule> rule_of(const CaseFile& file) {
  const auto rule = params_of(file).value("rule", "far");
  if (rule == "far") return RetainRule::far;
  if (rule == "near") return RetainRule::near;
  return std::nullopt;
}

struct Restored {
  MergedTokens merged;
  torch::Tensor kept, a, b;
};
// a, b [..., S, W].
Restored merge_and_read(const CaseFile& file, const torch::Tensor& a, const torch::Tensor& b, RetainRule rule) {
  Restored out{.merged = merge_tokens(a, b, share_of_params(file, "t")), .kept = {}, .a = {}, .b = {}};
  const auto bound = retain_bound(out.merged.angle, {}, share_of_params(file, "gamma"), rule);
  out.kept = retained(out.merged, bound, rule);
  const auto read = [&](const torch::Tensor& x, const torch::Tensor& norm) {
    return torch::where(out.kept.unsqueeze(-1), x, read_merged(out.merged.direction, norm));
  };
  out.a = read(a, out.merged.norm_a), out.b = read(b, out.merged.norm_b);
  return out;
}

void check_vectors(const CaseFile& file, CaseCheck& check, RetainRule rule) {
  const auto ours = merge_and_read(file, file.tensor("a"), file.tensor("b"), rule);
  check.compare("angle", ours.merged.angle, file.tensor("angle"), kMerged);
  check.equal("kept", ours.kept, file.tensor("kept", torch::kUInt8));
  check.compare("restored_a", ours.a, file.tensor("restored_a"), kMerged);
  check.compare("restored_b", ours.b, file.tensor("restored_b"), kMerged);
}

void check_slot_of_pair(const CaseFile& file, CaseCheck& check, const std::string& name, RetainRule rule) {
  const auto a_GTH = file.tensor(name + "_a"), b_GTH = file.tensor(name + "_b");
  const int64_t G = a_GTH.size(0);
  // One vector for each token, all KV heads side by side; or one for each head.
  const bool by_head = file.tensor(name + "_angle").dim() == 2;
  const auto vectors = [&](const torch::Tensor& x_GTH) {
    return by_head ? x_GTH : x_GTH.transpose(0, 1).flatten(1);
  };
  const auto heads = [&](const torch::Tensor& x) {
    return by_head ? x : x.unflatten(1, {G, -1}).transpose(0, 1);
  };
  const auto ours = merge_and_read(file, vectors(a_GTH), vectors(b_GTH), rule);
  check.compare(name + "_angle", ours.merged.angle, file.tensor(name + "_angle"), kMerged);
  check.compare(name + "_direction", ours.merged.direction, file.tensor(name + "_direction"), kMerged);
  check.compare(name + "_norm_a", ours.merged.norm_a, file.tensor(name + "_norm_a"), kMerged);
  check.compare(name + "_norm_b", ours.merged.norm_b, file.tensor(name + "_norm_b"), kMerged);
  check.equal(name + "_kept", ours.kept, file.tensor(name + "_kept", torch::kUInt8));
  check.compare(name + "_restored_a", heads(ours.a), file.tensor(name + "_restored_a"), kMerged);
  check.compare(name + "_restored_b", heads(ours.b), file.tensor(name + "_restored_b"), kMerged);
}

// Which of the tokens of a pair stay as they came: the entries that its lower layer keeps beside directions.
torch::Tensor kept_by(const LayerState& lower, size_t slot, int64_t tokens) {
  const auto index_1m = lower.storage(slot).parts().back();
  auto kept = torch::zeros({tokens}, torch::kUInt8);
  return kept.scatter(0, index_1m[0].to(torch::kInt64), 1);
}

void check_merged_model(const CaseFile& file, CaseCheck& check, RetainRule rule) {
  if (rule != RetainRule::far) return check.not_checked("the storage keeps the tokens that are least alike");
  const auto decoder = model_of(file);
  if (!decoder) return check.not_checked(fmt::format("no folder {} here", file.text("model")));
  const auto& pairs = params_of(file).at("pairs");
  const int64_t from = pairs.at(0).at(0), layers = decoder->config().n_layers;
  for (size_t i = 0; i < pairs.size(); ++i)
    if (pairs[i].at(0) != from + 2 * static_cast<int64_t>(i) ||
        pairs[i].at(1) != pairs[i].at(0).get<int64_t>() + 1 ||
        static_cast<int64_t>(pairs.size()) != (layers - from) / 2)
      return check.not_checked("pairs that are not neighbours up to the last layer");
  const StorageConfig config{.name = CacheStorageName::minicache,
                             .merge_at = share_of_params(file, "t"),
                             .retain = share_of_params(file, "gamma"),
                             .merge_from = from};
  compare_decoding(
      file, check, *decoder, {.storage = storage_form(config), .as_computed = false},
      [&](const std::vector<LayerState>& states) {
        for (const auto& pair : pairs) {
          const auto of = fmt::format("_kept/{}_{}", pair.at(0).get<int64_t>(), pair.at(1).get<int64_t>());
          const auto& lower = states.at(pair.at(0).get<size_t>());
          for (const auto& [slot, name] : {std::pair{size_t{0}, "k" + of}, std::pair{size_t{1}, "v" + of}}) {
            const auto expected = file.tensor(name, torch::kUInt8);
            check.equal(name, kept_by(lower, slot, expected.numel()), expected);
          }
        }
      });
}

void check_minicache(const CaseFile& file, CaseCheck& check) {
  const auto rule = rule_of(file);
  if (!rule) return check.not_checked("a rule of retention that is not known");
  if (params_of(file).contains("pairs")) return check_merged_model(file, check, *rule);
  if (file.has("a")) return check_vectors(file, check, *rule);
  check_slot_of_pair(file, check, "k", *rule);
  check_slot_of_pair(file, check, "v", *rule);
}

}  // namespace

bool is_cross(const CaseFile& file) { return file.facts.value("method", "") == "minicache"; }

void check_cross(const CaseFile& file, CaseCheck& check) { check_minicache(file, check); }

}  // namespace attnlab
