// KVQuant: given thresholds and levels, fitted levels, uniform levels, and a whole model.
#include <fmt/format.h>

#include "core/errors.h"
#include "crosscheck/check_cache.h"
#include "state/kvquant.h"
#include "state/quantise.h"

namespace attnlab {
namespace {

// The share of inliers; null or nothing: all.
double inliers_of(const CaseFile& file, const char* key) {
  const auto& params = params_of(file);
  return params.contains(key) && params[key].is_number() ? params[key].get<double>() : 1;
}

KvquantTable table_of(const CaseFile& file, const std::string& name, const std::string& layer = "") {
  KvquantTable table{
      .levels = std::get<0>(file.tensor(name + "_lut" + layer).sort()), .lower_W = {}, .upper_W = {}};
  if (name == "k")
    table.lower_W = file.tensor("k_lower" + layer), table.upper_W = file.tensor("k_upper" + layer);
  return table;
}

StorageConfig config_of(const CaseFile& file) {
  return {.name = CacheStorageName::kvquant, .first = std::max<int64_t>(0, param(file, "first_few_fp16"))};
}

// x [T, C] of one slot as a storage reads it.
torch::Tensor stored(const CaseFile& file, const std::string& name, const KvquantTable& table) {
  const auto x = file.tensor(name).unsqueeze(0);
  const StateSlot slot{.name = name, .width = x.size(2), .serves = name == "k" ? Serves::keys : Serves::values};
  const auto plan = kvquant_storage({.bits = param(file, "bits"),
                                     .inliers = inliers_of(file, "sparsity_threshold"),
                                     .layers = {{{name, table}}}},
                                    config_of(file));
  if (auto problem = plan->problem(slot)) throw InputError(*problem);
  const auto storage = plan->make({slot, 1, x.size(1), x.options()});
  storage->append(x);
  storage->settle({});
  return storage->read()[0];
}

// Codes name a level; where a number is an outlier they mean nothing.
void compare_levels(CaseCheck& check, const CaseFile& file, const std::string& name, const torch::Tensor& z,
                    const torch::Tensor& outliers) {
  const auto lut = file.tensor(name + "_lut"), levels = std::get<0>(lut.sort());
  const auto ours = levels.index_select(0, nearest_level(z, levels).to(torch::kInt64).flatten());
  const auto theirs = lut.index_select(0, file.tensor(name + "_codes", torch::kInt64).flatten());
  const auto differ = (ours != theirs).view(z.sizes()).logical_and(outliers.logical_not());
  check.equal(name + "_codes", differ, torch::zeros_like(differ), kBoundaryShare);
}

void check_slot(const CaseFile& file, CaseCheck& check, const std::string& name) {
  const auto x = file.tensor(name);
  const KvquantTable table = table_of(file, name);
  const double inliers = inliers_of(file, "sparsity_threshold");
  const bool keys = name == "k";
  torch::Tensor outliers = keys ? key_outliers(x, table) : value_outliers(x, inliers);
  if (inliers >= 1) outliers = torch::zeros_like(outliers);
  const auto range = keys ? KvquantRange::between(table.lower_W, table.upper_W) : value_range(x, outliers);
  const int64_t first = config_of(file).first;
  if (!keys) {
    const int64_t T = x.size(0) - first;
    const auto of = [&](const torch::Tensor& bound) { return bound.squeeze(-1).narrow(0, first, T); };
    check.compare("v_min", of(range.mid - range.half), file.tensor("v_min").narrow(0, first, T), kScales);
    check.compare("v_max", of(range.mid + range.half), file.tensor("v_max").narrow(0, first, T), kScales);
  }
  outliers.narrow(0, 0, first).fill_(true);
  check.equal(name + "_outliers", outliers, file.tensor(name + "_outliers", torch::kUInt8), kBoundaryShare);
  compare_levels(check, file, name, range.normed(x), outliers);
  compare_read(check, name + "_dequantised", stored(file, name, table), file.tensor(name + "_dequantised"));
}

double weighted_error(const torch::Tensor& z, const torch::Tensor& weights, const torch::Tensor& levels) {
  const auto sorted = std::get<0>(levels.sort());
  const auto read =
      sorted.index_select(0, nearest_level(z, sorted).to(torch::kInt64).flatten()).view(z.sizes());
  return (weights * (read - z).square()).sum().item<double>();
}

// Another solver finds other levels: its error counts.
void check_calibration(const CaseFile& file, CaseCheck& check) {
  const double inliers = inliers_of(file, "sparsity_threshold");
  const int64_t bits = param(file, "bits");
  for (const std::string name : {"k", "v"}) {
    const auto x = file.tensor(name + "_calibration"), weights = file.tensor(name + "_fisher");
    const auto [z_n, w_n] = name == "k" ? key_numbers(x, weights, inliers) : value_numbers(x, weights, inliers);
    const double ours = weighted_error(z_n, w_n, fit_levels(z_n, w_n, bits));
    const double theirs = weighted_error(z_n, w_n, file.tensor(name + "_lut"));
    // At most 1.02 of theirs; less is no miss.
    check.compare(name + "_lut: weighted squared error", std::max(ours, theirs), theirs,
                  {.absolute = 0.02 * theirs});
  }
  const auto bounds = inlier_bounds(file.tensor("k_calibration"), inliers, 0);
  check.compare("k_lower", bounds.lower.flatten(), file.tensor("k_lower"), kScales);
  check.compare("k_upper", bounds.upper.flatten(), file.tensor("k_upper"), kScales);
}

// Even levels: keys by channel over all tokens, values by token.
torch::Tensor uniform(const torch::Tensor& x, int64_t bits, const torch::Tensor& outliers) {
  const auto inner = torch::where(outliers, std::get<0>(x.median(-1, true)), x);
  return torch::where(outliers, x, read_affine(quantise_affine(inner, bits, x.size(-1)), torch::kFloat64));
}

void check_uniform(const CaseFile& file, CaseCheck& check) {
  const double inliers = inliers_of(file, "thresh");
  for (const std::string name : {"k", "v"}) {
    const bool keys = name == "k";
    const auto turned = [&](const torch::Tensor& x) { return keys ? x.t() : x; };
    const auto x = turned(file.tensor(name)).contiguous();
    const auto outliers = value_outliers(x, inliers), none = torch::zeros_like(outliers);
    check.equal(name + "_outliers", turned(outliers), file.tensor(name + "_outliers", torch::kUInt8),
                kBoundaryShare);
    for (const auto& bits : params_of(file).at("bits")) {
      const auto of = fmt::format("{}_int{}", name, bits.get<int64_t>());
      compare_read(check, of, turned(uniform(x, bits, none)), file.tensor(of));
      compare_read(check, of + "_1pct", turned(uniform(x, bits, outliers)), file.tensor(of + "_1pct"));
    }
  }
}

void check_model(const CaseFile& file, CaseCheck& check) {
  const auto decoder = model_of(file);
  if (!decoder) return check.not_checked(fmt::format("no folder {} here", file.text("model")));
  KvquantTables tables{
      .bits = param(file, "bits"), .inliers = inliers_of(file, "sparsity_threshold"), .layers = {}};
  for (int64_t layer = 0; layer < decoder->config().n_layers; ++layer) {
    const auto suffix = fmt::format("/{}", layer);
    tables.layers.push_back({{"k", table_of(file, "k", suffix)}, {"v", table_of(file, "v", suffix)}});
  }
  compare_decoding(file, check, *decoder,
                   {.storage = kvquant_storage(tables, config_of(file)), .as_computed = false});
}

}  // namespace

bool is_kvquant(const CaseFile& file) {
  const auto method = file.facts.value("method", "");
  return method.starts_with("kvquant") || method.starts_with("uniform, per channel K");
}

void check_kvquant(const CaseFile& file, CaseCheck& check) {
  const auto method = file.text("method");
  if (file.facts.contains("model")) return check_model(file, check);
  if (method == "kvquant datatype fit") return check_calibration(file, check);
  if (method != "kvquant") return check_uniform(file, check);
  check_slot(file, check, "k");
  check_slot(file, check, "v");
}

}  // namespace attnlab
