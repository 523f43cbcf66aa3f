// Forms that code each token by itself, with a scale for each group of neighbours in each of its heads.
#pragma once

#include "state/token_codec.h"

namespace attnlab {

class EachToken : public CodedForm {
 public:
  // `group`: as in StorageConfig. `most`: the widest that it becomes by itself; 0: that of numbers_per_scale.
  EachToken(int64_t group, int64_t most) : group_(group), most_(most) {}
  std::optional<BadInput> problem(const StateSlot& slot) const override;

 protected:
  Coding coding(const StateSlot& slot, int64_t lanes) const override;
  // `width` numbers of a lane, coded in groups of `group`.
  virtual std::shared_ptr<const TokenCodec> codec_of(int64_t width, int64_t group) const = 0;
  // Of a latent beside a rotary part.
  virtual std::shared_ptr<const TokenCodec> latent_codec(const StateSlot& slot, int64_t group) const;

 private:
  int64_t most_of(const StateSlot& slot) const { return most_ > 0 ? most_ : numbers_per_scale(slot); }

  int64_t group_, most_;
};

}  // namespace attnlab
