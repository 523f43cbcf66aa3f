#include "state/token_codec.h"

#include <fmt/format.h>

#include <algorithm>

#include "state/coded_storage.h"

namespace attnlab {
namespace {

class WithExactNumbers final : public TokenCodec {
 public:
  WithExactNumbers(std::shared_ptr<const TokenCodec> inner, int64_t from, int64_t count)
      : inner_(std::move(inner)), from_(from), count_(count) {}

  int64_t tokens_per_group() const override { return inner_->tokens_per_group(); }
  CodedTokens encode(const torch::Tensor& x_LnW, const torch::Tensor& heads_L) const override {
    const int64_t behind = x_LnW.size(2) - from_ - count_;
    const auto parts = x_LnW.split_with_sizes({from_, count_, behind}, 2);
    CodedTokens coded = inner_->encode(torch::cat({parts[0], parts[2]}, 2), heads_L);
    coded.by_token.push_back(parts[1].contiguous());
    ATTNLAB_CHECK(!coded.outliers.defined() || behind == 0);  // they say the place in the inner numbers
    return coded;
  }
  torch::Tensor decode(const CodedTokens& coded, const torch::Tensor& heads_L,
                       torch::ScalarType dtype) const override {
    CodedTokens others = coded;
    const auto exact_LnW = others.by_token.back().to(dtype);
    others.by_token.pop_back();
    const auto rest_LnW = inner_->decode(others, heads_L, dtype);
    return torch::cat(
        {rest_LnW.narrow(2, 0, from_), exact_LnW, rest_LnW.narrow(2, from_, rest_LnW.size(2) - from_)}, 2);
  }
  std::optional<CodedLatent> as_latent(const CodedTokens& coded) const override {
    auto latent = inner_->as_latent(coded);
    if (!latent || from_ != latent->codes_BPR.size(2)) return std::nullopt;  // other numbers stand behind
    latent->rest_BPr = coded.by_token.back();
    return latent;
  }
  double bytes_per_token(int64_t element_bytes) const override {
    return inner_->bytes_per_token(element_bytes) + static_cast<double>(count_ * element_bytes);
  }
  double bytes_per_group(int64_t element_bytes) const override {
    return inner_->bytes_per_group(element_bytes);
  }

 private:
  std::shared_ptr<const TokenCodec> inner_;
  int64_t from_, count_;
};

}  // namespace

std::shared_ptr<const TokenCodec> with_exact_numbers(std::shared_ptr<const TokenCodec> inner, int64_t from,
                                                     int64_t count) {
  return std::make_shared<const WithExactNumbers>(std::move(inner), from, count);
}

int64_t numbers_of_head(const StateSlot& slot) {
  const int64_t apart = slot.rotary_apart ? slot.rotated : 0;
  return (slot.width - apart) / slot.heads;
}

int64_t numbers_per_scale(const StateSlot& slot) { return slot.heads > 1 ? numbers_of_head(slot) : 128; }

int64_t scale_group(int64_t asked, int64_t width, int64_t most) {
  if (asked > 0) return asked;
  int64_t group = std::max<int64_t>(1, std::min(width, most));
  while (width % group != 0) --group;
  return group;
}

std::optional<BadInput> group_problem(int64_t asked, const StateSlot& slot, int64_t width, int64_t most) {
  if (width == 0) return std::nullopt;
  const auto bad = [&](std::string found) {
    std::string divisors;
    for (int64_t group = 2; group <= width; ++group)
      if (width % group == 0) divisors += fmt::format("{}{}", divisors.empty() ? "" : ", ", group);
    return BadInput{.key = "group",
                    .found = std::move(found),
                    .expected = fmt::format("a divisor of the {} numbers of {} that are coded together: {}",
                                            width, slot.name, divisors.empty() ? "1" : divisors)};
  };
  if (asked > 0 && width % asked != 0) return bad(fmt::format("{}", asked));
  const int64_t group = scale_group(asked, width, most);
  if (asked == 0 && group < width && 4 * group < most) return bad("none");
  return std::nullopt;
}

std::unique_ptr<TokenStorage> CodedForm::make(const StorageNeeds& needs) const {
  const Coding plan = coding(needs.slot, needs.by_head ? needs.slot.heads : 1);
  if (!plan.codec) return dense_storage()->make(needs);
  return coded_storage(needs, plan.codec, plan.rule);
}

double CodedForm::bytes(const StateSlot& slot, int64_t tokens, int64_t element_bytes) const {
  const Coding plan = coding(slot, 1);
  const auto as_it_comes = static_cast<double>(slot.width * element_bytes);
  if (!plan.codec) return as_it_comes * static_cast<double>(tokens);
  const int64_t first = std::min(tokens, plan.rule.first);
  const int64_t waiting = std::max<int64_t>(0, tokens - first - plan.rule.newest);
  const int64_t coded = waiting / plan.rule.step * plan.rule.step;
  return static_cast<double>(tokens - coded) * as_it_comes +
         static_cast<double>(coded) * plan.codec->bytes_per_token(element_bytes) +
         static_cast<double>(coded / plan.codec->tokens_per_group()) *
             plan.codec->bytes_per_group(element_bytes);
}

}  // namespace attnlab
