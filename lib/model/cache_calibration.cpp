#include "model/cache_calibration.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "checkpoint/safetensors.h"
#include "core/errors.h"
#include "core/numbers.h"
#include "model/linear_cross_entropy.h"
#include "state/token_codec.h"

namespace attnlab {
namespace {

// Keeps the numbers of one pass with the graph that they are part of, and remembers them.
class RecordingStorage final : public TokenStorage {
 public:
  explicit RecordingStorage(torch::Tensor* record) : record_(record) {}
  void append(const torch::Tensor& x_BTW) override {
    ATTNLAB_CHECK(!record_->defined());
    *record_ = x_BTW.requires_grad() ? x_BTW : x_BTW.detach().requires_grad_();
    record_->retain_grad();
  }
  torch::Tensor read() const override { return *record_; }
  int64_t shown() const override { return record_->size(1); }
  int64_t length() const override { return record_->size(1); }
  void keep(const torch::Tensor&, const torch::Tensor&) override { ATTNLAB_CHECK(!"one pass is all there is"); }
  void select_rows(const torch::Tensor&) override { ATTNLAB_CHECK(!"one pass is all there is"); }
  void truncate(int64_t) override { ATTNLAB_CHECK(!"one pass is all there is"); }
  std::unique_ptr<TokenStorage> joined(const TokenStorage&, int64_t, int64_t) const override { return clone(); }
  std::unique_ptr<TokenStorage> clone() const override { return std::make_unique<RecordingStorage>(*this); }
  std::vector<torch::Tensor> parts() const override { return {}; }

 private:
  torch::Tensor* record_;
};

// By slot, [B, T, W].
using SlotRecords = std::map<std::string, torch::Tensor>;

class RecordingForm final : public StorageForm {
 public:
  RecordingForm(std::vector<SlotRecords>* layers, size_t layer) : layers_(layers), layer_(layer) {}
  std::shared_ptr<const StorageForm> of_layer(size_t layer, size_t) const override {
    return std::make_shared<const RecordingForm>(layers_, layer);
  }
  std::unique_ptr<TokenStorage> make(const StorageNeeds& needs) const override {
    return std::make_unique<RecordingStorage>(&(*layers_)[layer_][needs.slot.name]);
  }
  double bytes(const StateSlot&, int64_t, int64_t) const override { return 0; }
  bool keys_before_rotary() const override { return true; }

 private:
  std::vector<SlotRecords>* layers_;
  size_t layer_;
};

// Numbers of a slot over all text, [n, w] each.
struct Gathered {
  std::vector<torch::Tensor> numbers, weights;
};

// The numbers of a slot that are coded: without those of a rotary part that stands apart.
torch::Tensor coded_numbers(const torch::Tensor& x_BTW, const StateSlot& slot, int64_t first) {
  const auto x_nW = x_BTW.narrow(1, first, x_BTW.size(1) - first).flatten(0, 1);
  if (!slot.rotary_apart) return x_nW;
  const int64_t behind = slot.rotated_from + slot.rotated;
  return torch::cat({x_nW.narrow(1, 0, slot.rotated_from), x_nW.narrow(1, behind, x_nW.size(1) - behind)}, 1);
}

class Calibrator {
 public:
  Calibrator(Decoder& decoder, const CacheCalibrationOptions& options)
      : decoder_(decoder), options_(options), layers_(decoder.layers().size()) {}

  void look_at(const torch::Tensor& ids_BT) {
    const int64_t B = ids_BT.size(0), T = ids_BT.size(1);
    std::vector<SlotRecords> records(layers_.size());
    const CachePlan plan{.storage = std::make_shared<const RecordingForm>(&records, 0), .as_computed = false};
    {
      const torch::AutoGradMode with_graph(options_.fisher);
      auto states = decoder_.make_states(B, T, plan);
      const auto hidden_BTD = decoder_.hidden(ids_BT, {.states = &states});
      if (options_.fisher) {
        const auto hidden_PD = hidden_BTD.narrow(1, 0, T - 1).flatten(0, 1);
        const auto targets_P = ids_BT.narrow(1, 1, T - 1).flatten();
        linear_cross_entropy(hidden_PD, decoder_.output_weight(), targets_P, decoder_.config().final_softcap)
            .backward();
      }
    }
    const torch::NoGradGuard no_grad;
    for (size_t layer = 0; layer < layers_.size(); ++layer)
      for (const auto& slot : decoder_.layers()[layer]->mixer()->state_layout())
        if (slot.extent == Extent::per_token && numbers_of_head(slot) > 0)
          gather(layers_[layer][slot.name], slot, records[layer].at(slot.name));
    for (auto& parameter : decoder_.parameters()) parameter.mutable_grad().reset();
  }

  KvquantTables tables() const {
    KvquantTables out{.bits = options_.bits, .inliers = options_.inliers, .layers = {}};
    for (size_t layer = 0; layer < layers_.size(); ++layer) {
      out.layers.emplace_back();
      for (const auto& slot : decoder_.layers()[layer]->mixer()->state_layout())
        if (const auto found = layers_[layer].find(slot.name); found != layers_[layer].end())
          out.layers.back()[slot.name] = table_of(slot, found->second);
    }
    return out;
  }

 private:
  void gather(Gathered& into, const StateSlot& slot, const torch::Tensor& record_BTW) const {
    const auto kept = [&](const torch::Tensor& x) {
      return coded_numbers(x, slot, options_.first).to(torch::kCPU, torch::kFloat32);
    };
    into.numbers.push_back(kept(record_BTW.detach()));
    const auto& gradient = record_BTW.grad();
    into.weights.push_back(gradient.defined() ? kept(gradient).square()
                                              : torch::ones_like(into.numbers.back()));
  }

  KvquantTable table_of(const StateSlot& slot, const Gathered& gathered) const {
    const auto x_nw = torch::cat(gathered.numbers).to(torch::kFloat64);
    auto weights_nw = torch::cat(gathered.weights).to(torch::kFloat64);
    // Where the loss does not feel a slot, all of its numbers weigh alike.
    if (!(weights_nw.sum().item<double>() > 0)) weights_nw = torch::ones_like(x_nw);
    const bool by_channel = slot.serves == Serves::keys && !slot.rotary_apart;
    const auto [z, w] = by_channel ? key_numbers(x_nw, weights_nw, options_.inliers)
                                   : value_numbers(x_nw, weights_nw, options_.inliers);
    KvquantTable table{.levels = fit_levels(z, w, options_.bits), .lower_W = {}, .upper_W = {}};
    if (!by_channel) return table;
    const auto bounds = inlier_bounds(x_nw, options_.inliers, 0);
    table.lower_W = bounds.lower.flatten(), table.upper_W = bounds.upper.flatten();
    return table;
  }

  Decoder& decoder_;
  CacheCalibrationOptions options_;
  std::vector<std::map<std::string, Gathered>> layers_;
};

}  // namespace

CacheCalibration calibrate_cache(Decoder& decoder, const torch::Tensor& ids_NT,
                                 const CacheCalibrationOptions& options,
                                 const std::function<void(int64_t)>& done) {
  ATTNLAB_CHECK(ids_NT.size(1) > options.first + 1);
  Calibrator calibrator(decoder, options);
  for (int64_t row = 0; row < ids_NT.size(0); row += options.rows_at_once) {
    const int64_t rows = std::min(options.rows_at_once, ids_NT.size(0) - row);
    calibrator.look_at(ids_NT.narrow(0, row, rows).to(decoder.device()));
    if (done) done(row + rows);
  }
  return {calibrator.tables(), cache_fingerprint(decoder)};
}

torch::Tensor cache_fingerprint(const Decoder& decoder) {
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> of_layers;
  for (const auto& layer : decoder.layers()) {
    auto sums = torch::zeros({2}, torch::kFloat64);
    for (const auto& parameter : layer->mixer()->parameters()) {
      const auto p = parameter.flatten().to(torch::kCPU, torch::kFloat64);
      const auto waves = torch::arange(1, p.numel() + 1, torch::kFloat64).sin();
      sums += torch::stack({p.square().sum(), (p * waves).sum()});
    }
    of_layers.push_back(sums);
  }
  return torch::stack(of_layers);
}

namespace {

constexpr const char* kFormat = "attnlab cache calibration 1";

[[noreturn]] void refuse_calibration(const std::string& found, const std::string& expected,
                                     const std::string& file = "") {
  throw InputError(
      BadInput{.file = file, .key = "eval.cache.calibration", .found = found, .expected = expected});
}

template <class Number>
Number number_in(const SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  const auto value = found == file.metadata().end() ? std::nullopt : parse_number<Number>(found->second);
  if (!value) refuse_calibration("no " + key, "a file that calibrate_cache wrote", file.path().string());
  return *value;
}

}  // namespace

void write_cache_calibration(const std::filesystem::path& path, const CacheCalibration& calibration,
                             const std::map<std::string, std::string>& notes) {
  const KvquantTables& tables = calibration.tables;
  TensorList tensors{{"fingerprint", calibration.fingerprint}};
  for (size_t layer = 0; layer < tables.layers.size(); ++layer)
    for (const auto& [slot, table] : tables.layers[layer]) {
      const auto name = fmt::format("layers.{}.{}.", layer, slot);
      tensors[name + "levels"] = table.levels;
      if (!table.lower_W.defined()) continue;
      tensors[name + "lower"] = table.lower_W, tensors[name + "upper"] = table.upper_W;
    }
  auto metadata = notes;
  metadata["format"] = kFormat;
  metadata["bits"] = fmt::format("{}", tables.bits);
  metadata["inliers"] = fmt::format("{}", tables.inliers);
  metadata["layers"] = fmt::format("{}", tables.layers.size());
  write_safetensors(path, tensors, metadata);
}

CacheCalibration read_cache_calibration(const std::filesystem::path& path) {
  const auto file = SafetensorsFile::open(path);
  const auto format = file.metadata().find("format");
  if (format == file.metadata().end() || format->second != kFormat)
    refuse_calibration("another format", "a file that calibrate_cache wrote", path.string());
  KvquantTables tables{
      .bits = number_in<int64_t>(file, "bits"), .inliers = number_in<double>(file, "inliers"), .layers = {}};
  const auto layers = number_in<int64_t>(file, "layers");
  const auto fingerprint = file.tensor("fingerprint").clone();
  if (tables.bits < 1 || tables.bits > 8 || fingerprint.dim() != 2 || layers != fingerprint.size(0))
    refuse_calibration(fmt::format("{} bits, {} layers", tables.bits, layers),
                       "1 to 8 bits, and a fingerprint of each layer", path.string());
  for (int64_t layer = 0; layer < layers; ++layer) {
    tables.layers.emplace_back();
    const auto prefix = fmt::format("layers.{}.", layer), ending = std::string(".levels");
    for (const auto& name : file.names()) {
      if (!name.starts_with(prefix) || !name.ends_with(ending)) continue;
      const auto slot = name.substr(prefix.size(), name.size() - prefix.size() - ending.size());
      const auto part = [&](const std::string& of) {
        return file.has(prefix + slot + of) ? file.tensor(prefix + slot + of).clone() : torch::Tensor();
      };
      tables.layers.back()[slot] = {
          .levels = part(ending), .lower_W = part(".lower"), .upper_W = part(".upper")};
      if (tables.layers.back()[slot].levels.numel() != int64_t{1} << tables.bits)
        refuse_calibration(fmt::format("{} levels in {}", tables.layers.back()[slot].levels.numel(), name),
                           fmt::format("{}", int64_t{1} << tables.bits), path.string());
    }
  }
  return {std::move(tables), fingerprint};
}

CachePlan read_cache_plan(const CacheConfig& config) {
  CachePlan plan = make_cache_plan(config);
  if (config.storage.name == CacheStorageName::kvquant)
    plan.storage = kvquant_storage(read_cache_calibration(config.storage.calibration).tables, config.storage);
  return plan;
}

CachePlan cache_plan_for(const CacheConfig& config, const Decoder& decoder) {
  CachePlan plan = read_cache_plan(config);
  if (config.storage.name != CacheStorageName::kvquant) return plan;
  const auto theirs = read_cache_calibration(config.storage.calibration).fingerprint,
             ours = cache_fingerprint(decoder);
  // The sum with waves is about as large as the weights' norm: other weights are that far apart, and these in
  // 16 bits 2^-9 of it.
  constexpr double kSame = 0.01;
  const auto apart = [&] { return (theirs.select(1, 1) - ours.select(1, 1)).abs() / ours.select(1, 0).sqrt(); };
  if (theirs.sizes() != ours.sizes() || !(apart().max().item<double>() <= kSame))
    refuse_calibration("another model's calibration", "that of this model: calibrate_cache makes it",
                       config.storage.calibration);
  return plan;
}

}  // namespace attnlab
