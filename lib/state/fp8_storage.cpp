// fp8 e4m3, each token by itself.
#include "state/each_token.h"
#include "state/latent_record.h"
#include "state/quantise.h"
#include "state/storage_forms.h"

namespace attnlab {
namespace {

class Fp8Codec final : public TokenCodec {
 public:
  Fp8Codec(int64_t width, int64_t group, Fp8Scales scales) : width_(width), group_(group), scales_(scales) {}
  CodedTokens encode(const torch::Tensor& x_LnW, const torch::Tensor&) const override {
    const auto scales = fp8_scales(x_LnW, group_, scales_);
    const auto codes = to_fp8(x_LnW, scales);
    if (scales_ == Fp8Scales::one) return {.by_token = {codes}, .by_group = {}};
    return {.by_token = {codes, scales}, .by_group = {}};
  }
  torch::Tensor decode(const CodedTokens& coded, const torch::Tensor&, torch::ScalarType dtype) const override {
    const auto& codes = coded.by_token[0];
    if (scales_ == Fp8Scales::one) return codes.view(torch::kFloat8_e4m3fn).to(torch::kFloat32).to(dtype);
    return from_fp8(codes, coded.by_token[1], dtype);
  }
  double bytes_per_token(int64_t element_bytes) const override {
    const int64_t scales = scales_ == Fp8Scales::one ? 0 : width_ / group_;
    return static_cast<double>(width_ + scales * element_bytes);
  }

 private:
  int64_t width_, group_;
  Fp8Scales scales_;
};

// The rotary part stands behind the latent.
class RecordCodec final : public TokenCodec {
 public:
  explicit RecordCodec(const LatentRecord& form) : form_(form) {}
  CodedTokens encode(const torch::Tensor& x_LnW, const torch::Tensor&) const override {
    return {.by_token = {to_record(x_LnW, form_)}, .by_group = {}};
  }
  torch::Tensor decode(const CodedTokens& coded, const torch::Tensor&, torch::ScalarType dtype) const override {
    return from_record(coded.by_token[0], form_, dtype);
  }
  std::optional<CodedLatent> as_latent(const CodedTokens& coded) const override {
    return latent_of_records(coded.by_token[0], form_);
  }
  double bytes_per_token(int64_t element_bytes) const override {
    return static_cast<double>(form_.bytes(element_bytes));
  }

 private:
  LatentRecord form_;
};

class Fp8Form final : public EachToken {
 public:
  Fp8Form(int64_t group, Fp8Scales scales) : EachToken(group, 0), scales_(scales) {}

 protected:
  std::shared_ptr<const TokenCodec> codec_of(int64_t width, int64_t group) const override {
    return std::make_shared<const Fp8Codec>(width, group, scales_);
  }
  std::shared_ptr<const TokenCodec> latent_codec(const StateSlot& slot, int64_t group) const override {
    ATTNLAB_CHECK(slot.heads == 1 && slot.rotated_from + slot.rotated == slot.width);
    return std::make_shared<const RecordCodec>(
        LatentRecord{.rank = slot.rotated_from, .rope = slot.rotated, .tile = group, .scales = scales_});
  }

 private:
  Fp8Scales scales_;
};

}  // namespace

StoragePlan fp8_storage(const StorageConfig& config) {
  return std::make_shared<const Fp8Form>(config.group, config.fp8_scales);
}

}  // namespace attnlab
