#include "state/each_token.h"

#include "state/affine_codec.h"
#include "state/quantise.h"
#include "state/storage_forms.h"

namespace attnlab {

std::optional<BadInput> EachToken::problem(const StateSlot& slot) const {
  return group_problem(group_, slot, numbers_of_head(slot), most_of(slot));
}

CodedForm::Coding EachToken::coding(const StateSlot& slot, int64_t lanes) const {
  const int64_t head = numbers_of_head(slot);
  if (head == 0) return {};
  const int64_t group = scale_group(group_, head, most_of(slot));
  return {slot.rotary_apart ? latent_codec(slot, group) : codec_of(head * slot.heads / lanes, group),
          {.at_once = true}};
}

std::shared_ptr<const TokenCodec> EachToken::latent_codec(const StateSlot& slot, int64_t group) const {
  return with_exact_numbers(codec_of(numbers_of_head(slot), group), slot.rotated_from, slot.rotated);
}

namespace {

class SymmetricCodec final : public TokenCodec {
 public:
  SymmetricCodec(int64_t width, int64_t group) : width_(width), group_(group) {}
  CodedTokens encode(const torch::Tensor& x_LnW, const torch::Tensor&) const override {
    const Symmetric coded = quantise_symmetric(x_LnW, group_);
    return {.by_token = {coded.codes, coded.scale}, .by_group = {}};
  }
  torch::Tensor decode(const CodedTokens& coded, const torch::Tensor&, torch::ScalarType dtype) const override {
    return read_symmetric({coded.by_token[0], coded.by_token[1]}, dtype);
  }
  std::optional<CodedLatent> as_latent(const CodedTokens& coded) const override {
    const auto &codes = coded.by_token[0], &scale = coded.by_token[1];
    return CodedLatent{codes, scale, scale.narrow(2, 0, 0), {}};
  }
  double bytes_per_token(int64_t element_bytes) const override {
    return static_cast<double>(width_ + width_ / group_ * element_bytes);
  }

 private:
  int64_t width_, group_;
};

class Int8Form final : public EachToken {
 public:
  explicit Int8Form(int64_t group) : EachToken(group, 0) {}

 protected:
  std::shared_ptr<const TokenCodec> codec_of(int64_t width, int64_t group) const override {
    return std::make_shared<const SymmetricCodec>(width, group);
  }
};

class Int4Form final : public EachToken {
 public:
  explicit Int4Form(int64_t group) : EachToken(group, 32) {}

 protected:
  std::shared_ptr<const TokenCodec> codec_of(int64_t width, int64_t group) const override {
    return std::make_shared<const AffineCodec>(width, 4, group);
  }
};

}  // namespace

StoragePlan int8_storage(const StorageConfig& config) { return std::make_shared<const Int8Form>(config.group); }
StoragePlan int4_storage(const StorageConfig& config) { return std::make_shared<const Int4Form>(config.group); }

}  // namespace attnlab
