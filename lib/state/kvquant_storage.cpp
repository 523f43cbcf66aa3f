#include <fmt/format.h>

#include "core/errors.h"
#include "state/kvquant.h"
#include "state/quantise.h"
#include "state/token_codec.h"

namespace attnlab {
namespace {

constexpr int64_t kOutlierPlaceBytes = 2;  // of an outlier, and of how many a token has

// What a lane is coded with: levels, and of keys each of its heads' channels.
struct LaneTable {
  int64_t width = 0, bits = 0;
  double inliers = 1;
  KvquantTable table;

  double bytes_of_codes() const { return static_cast<double>(packed_size(width, bits)); }
  double bytes_of_outliers(double count, int64_t element_bytes) const {
    return inliers < 1 ? count * static_cast<double>(element_bytes + kOutlierPlaceBytes) + kOutlierPlaceBytes
                       : 0;
  }
};

torch::Tensor wide(const torch::Tensor& x) {
  return x.scalar_type() == torch::kFloat64 ? x : x.to(torch::kFloat32);
}

CodedTokens coded_with(const LaneTable& of, const torch::Tensor& x_Lnw, const KvquantRange& range,
                       const torch::Tensor& outliers, std::vector<torch::Tensor> by_token) {
  const auto codes = nearest_level(range.normed(wide(x_Lnw)), of.table.levels.to(x_Lnw.device()));
  by_token.insert(by_token.begin(), pack_bits(codes, of.bits));
  CodedTokens coded{.by_token = std::move(by_token), .by_group = {}};
  if (of.inliers < 1) coded.outliers = SparseRows::of(x_Lnw, outliers);
  return coded;
}

torch::Tensor levels_of(const LaneTable& of, const torch::Tensor& packed, torch::ScalarType type) {
  const auto codes = unpack_bits(packed, of.bits, of.width).to(torch::kInt64);
  return of.table.levels.to(packed.device(), type).index_select(0, codes.flatten()).view(codes.sizes());
}

torch::ScalarType wide_of(torch::ScalarType dtype) {
  return dtype == torch::kFloat64 ? torch::kFloat64 : torch::kFloat32;
}

class KeyCodec final : public TokenCodec {
 public:
  explicit KeyCodec(LaneTable of) : of_(std::move(of)) {}
  CodedTokens encode(const torch::Tensor& x_Lnw, const torch::Tensor& heads_L) const override {
    const KvquantTable table = of_lanes(heads_L, wide_of(x_Lnw.scalar_type()));
    return coded_with(of_, x_Lnw, KvquantRange::between(table.lower_W, table.upper_W),
                      key_outliers(wide(x_Lnw), table), {});
  }
  torch::Tensor decode(const CodedTokens& coded, const torch::Tensor& heads_L,
                       torch::ScalarType dtype) const override {
    const KvquantTable table = of_lanes(heads_L, wide_of(dtype));
    const auto z = levels_of(of_, coded.by_token[0], wide_of(dtype));
    return KvquantRange::between(table.lower_W, table.upper_W).back(z).to(dtype);
  }
  double bytes_per_token(int64_t element_bytes) const override {
    return of_.bytes_of_codes() +
           of_.bytes_of_outliers((1 - of_.inliers) * static_cast<double>(of_.width), element_bytes);
  }

 private:
  // Bounds [L, 1, w] of the channels that each lane has.
  KvquantTable of_lanes(const torch::Tensor& heads_L, torch::ScalarType type) const {
    const auto of = [&](const torch::Tensor& bound_W) {
      return bound_W.to(heads_L.device(), type).view({-1, of_.width}).index_select(0, heads_L).unsqueeze(1);
    };
    return {of_.table.levels, of(of_.table.lower_W), of(of_.table.upper_W)};
  }

  LaneTable of_;
};

class ValueCodec final : public TokenCodec {
 public:
  explicit ValueCodec(LaneTable of) : of_(std::move(of)) {}
  CodedTokens encode(const torch::Tensor& x_Lnw, const torch::Tensor&) const override {
    const auto x = wide(x_Lnw), outliers = value_outliers(x, of_.inliers);
    const KvquantRange exact = value_range(x, outliers);
    // As they are kept.
    const auto mid = exact.mid.to(x_Lnw.scalar_type()), half = exact.half.to(x_Lnw.scalar_type());
    return coded_with(of_, x_Lnw, {mid.to(x.scalar_type()), half.to(x.scalar_type())}, outliers, {mid, half});
  }
  torch::Tensor decode(const CodedTokens& coded, const torch::Tensor&, torch::ScalarType dtype) const override {
    const auto type = wide_of(dtype);
    const KvquantRange range{coded.by_token[1].to(type), coded.by_token[2].to(type)};
    return range.back(levels_of(of_, coded.by_token[0], type)).to(dtype);
  }
  double bytes_per_token(int64_t element_bytes) const override {
    // As many at either end as the quantiles leave.
    const auto at_each_end =
        static_cast<int64_t>(static_cast<double>(of_.width - 1) * (1 - of_.inliers) / 2) + 1;
    return of_.bytes_of_codes() + static_cast<double>(2 * element_bytes) +
           of_.bytes_of_outliers(static_cast<double>(2 * at_each_end), element_bytes);
  }

 private:
  LaneTable of_;
};

class KvquantForm final : public CodedForm {
 public:
  KvquantForm(KvquantTables tables, const StorageConfig& config, size_t layer)
      : tables_(std::make_shared<const KvquantTables>(std::move(tables))), config_(config), layer_(layer) {}

  bool keys_before_rotary() const override { return true; }
  StoragePlan of_layer(size_t layer, size_t) const override {
    auto own = std::make_shared<KvquantForm>(*this);
    own->layer_ = layer;
    return own;
  }
  std::optional<BadInput> problem(const StateSlot& slot) const override {
    if (numbers_of_head(slot) == 0) return std::nullopt;
    const auto bad = [&](std::string found) {
      return BadInput{.key = "calibration",
                      .found = std::move(found),
                      .expected = fmt::format("a calibration of this model: layer {} keeps {} numbers of {}",
                                              layer_, slot.width, slot.name)};
    };
    if (layer_ >= tables_->layers.size()) return bad(fmt::format("{} layers", tables_->layers.size()));
    const auto found = tables_->layers[layer_].find(slot.name);
    if (found == tables_->layers[layer_].end()) return bad(fmt::format("no {} in layer {}", slot.name, layer_));
    const auto& lower_W = found->second.lower_W;
    if (by_channel(slot) != lower_W.defined() || (lower_W.defined() && lower_W.size(0) != slot.width))
      return bad(fmt::format("{} channels of {}", lower_W.defined() ? lower_W.size(0) : 0, slot.name));
    return std::nullopt;
  }

 protected:
  Coding coding(const StateSlot& slot, int64_t lanes) const override {
    const int64_t head = numbers_of_head(slot);
    if (head == 0) return {};
    LaneTable of{
        .width = head * slot.heads / lanes, .bits = tables_->bits, .inliers = tables_->inliers, .table = {}};
    if (layer_ < tables_->layers.size())
      if (const auto found = tables_->layers[layer_].find(slot.name); found != tables_->layers[layer_].end())
        of.table = found->second;
    const CodingRule rule{.first = config_.first, .at_once = true};
    if (by_channel(slot)) return {std::make_shared<const KeyCodec>(std::move(of)), rule};
    std::shared_ptr<const TokenCodec> codec = std::make_shared<const ValueCodec>(std::move(of));
    if (slot.rotary_apart) codec = with_exact_numbers(std::move(codec), slot.rotated_from, slot.rotated);
    return {std::move(codec), rule};
  }

 private:
  static bool by_channel(const StateSlot& slot) { return slot.serves == Serves::keys && !slot.rotary_apart; }

  std::shared_ptr<const KvquantTables> tables_;
  StorageConfig config_;
  size_t layer_;
};

}  // namespace

StoragePlan kvquant_storage(KvquantTables tables, const StorageConfig& config) {
  return std::make_shared<const KvquantForm>(std::move(tables), config, 0);
}

}  // namespace attnlab
