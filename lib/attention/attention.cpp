#include "attention/attention.h"

#include <fmt/format.h>

namespace attnlab {

namespace {
// Keys that a query sees, on average over T queries: (T + 1) / 2, and with a window at most that many.
double mean_keys(int64_t T, int64_t window) {
  const auto t = static_cast<double>(T), w = static_cast<double>(window);
  if (window == 0 || window >= T) return (t + 1) / 2;
  return (w * (w + 1) / 2 + (t - w) * w) / t;
}
}  // namespace

// 2 FLOPs per weight of each matrix, plus q·k and p·v for each (query, key) pair.
double Attention::forward_flops_per_token(int64_t T) const {
  return matrix_flops() + 2.0 * static_cast<double>(pair_width()) * mean_keys(T, shape_.window);
}

bool Attention::set_absorb(bool absorb) {
  if (can_absorb()) absorb_ = absorb;
  return can_absorb();
}

torch::Tensor Attention::mix(const MixerInput& input) {
  AttentionPass pass(input, shape_.window);
  return attend(pass);
}

QkNorm::QkNorm(torch::nn::Module& parent, const AttentionShape& shape, bool keys) {
  if (!shape.qk_norm) return;
  for (const auto& [name, norm] : {std::pair{"q_norm", &q_norm_}, {"k_norm", &k_norm_}})
    if (keys || norm == &q_norm_)
      *norm = parent.register_module(name, RmsNorm(shape.head_dim, shape.norm_eps, shape.norm_plus_one));
}

std::optional<BadInput> mla_base_problem(const AttentionShape& shape) {
  if (shape.recurrent)
    return BadInput{.key = "variant",
                    .found = "a variant that is made from GQA",
                    .expected = "native_recurrence: the base has no attention"};
  if (!shape.mla) return std::nullopt;
  return BadInput{.key = "variant",
                  .found = "a variant that is made from GQA",
                  .expected = "deepseek_mla: the base's attention is MLA already"};
}

std::optional<BadInput> rope_removal_problem(const AttentionShape& shape) {
  if (auto mla = mla_base_problem(shape)) return mla;
  const auto bad = [](std::string found, const char* expected) {
    return BadInput{.key = "variant", .found = std::move(found), .expected = expected};
  };
  if (shape.qk_norm)
    return bad(
        "a base with norms of query and key heads",
        shape.norm_plus_one
            ? "a base without: a norm between projection and rotary does not commute with taking keys apart; "
              "mla_identity, mla_orthogonal, mla_v2 and care keep it"
            : "a base without: a norm between projection and rotary does not commute with taking keys apart "
              "(convert_model --approximate-qk-norm folds its mean scale in)");
  if (shape.rotary_dim > 0 && shape.rotary_dim < shape.head_dim)
    return bad(fmt::format("a base that turns {} of {} numbers of a head", shape.rotary_dim, shape.head_dim),
               "a base with rotary position on whole heads: mla_identity, mla_orthogonal, mla_v2 and care keep "
               "partial rotary");
  if (shape.scaled_by_frequency)
    return bad("a base with longrope",
               "a base whose rotary frequencies don't change with the length: mla_identity, mla_orthogonal, "
               "mla_v2 and care keep longrope");
  return std::nullopt;
}

int64_t turning_width(const AttentionShape& shape) {
  return shape.rotary_dim > 0 ? shape.rotary_dim : shape.head_dim;
}

}  // namespace attnlab
