// KIVI (arXiv 2402.02750).
#include "state/affine_codec.h"
#include "state/quantise.h"
#include "state/storage_forms.h"
#include "state/token_codec.h"

namespace attnlab {
namespace {

constexpr int64_t kGroup = 32;  // tokens of keys, channels of values

// Each channel of `group` neighbouring tokens between its minimum and maximum.
class ChannelCodec final : public TokenCodec {
 public:
  ChannelCodec(int64_t width, int64_t bits, int64_t group) : width_(width), bits_(bits), group_(group) {}
  int64_t tokens_per_group() const override { return group_; }

  CodedTokens encode(const torch::Tensor& x_LnW, const torch::Tensor&) const override {
    const Affine coded = quantise_affine(x_LnW.transpose(1, 2), bits_, group_);
    return {.by_token = {pack_bits(coded.codes.transpose(1, 2), bits_)},
            .by_group = {coded.scale.transpose(1, 2).contiguous(), coded.min.transpose(1, 2).contiguous()}};
  }
  torch::Tensor decode(const CodedTokens& coded, const torch::Tensor&, torch::ScalarType dtype) const override {
    return read_affine({unpack_bits(coded.by_token[0], bits_, width_), coded.by_group[0], coded.by_group[1]},
                       dtype);
  }
  double bytes_per_token(int64_t) const override { return static_cast<double>(packed_size(width_, bits_)); }
  double bytes_per_group(int64_t element_bytes) const override {
    return static_cast<double>(2 * width_ * element_bytes);
  }

 private:
  int64_t width_, bits_, group_;
};

class KiviForm final : public CodedForm {
 public:
  explicit KiviForm(const StorageConfig& config)
      : bits_(config.bits), group_(config.group), residual_(config.residual) {}

  std::optional<BadInput> problem(const StateSlot& slot) const override {
    if (slot.serves == Serves::keys) return std::nullopt;
    return group_problem(group_, slot, numbers_of_head(slot), kGroup);
  }

 protected:
  Coding coding(const StateSlot& slot, int64_t lanes) const override {
    const int64_t head = numbers_of_head(slot), width = head * slot.heads / lanes;
    if (head == 0) return {};
    if (slot.serves == Serves::keys)
      return {std::make_shared<const ChannelCodec>(width, bits_, group_ > 0 ? group_ : kGroup),
              {.step = residual_}};
    std::shared_ptr<const TokenCodec> codec =
        std::make_shared<const AffineCodec>(width, bits_, scale_group(group_, head, kGroup));
    if (slot.rotary_apart) codec = with_exact_numbers(std::move(codec), slot.rotated_from, slot.rotated);
    return {std::move(codec), {.newest = residual_}};
  }

 private:
  int64_t bits_, group_, residual_;
};

}  // namespace

StoragePlan kivi_storage(const StorageConfig& config) { return std::make_shared<const KiviForm>(config); }

}  // namespace attnlab
