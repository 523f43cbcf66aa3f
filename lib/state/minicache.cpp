#include "state/minicache.h"

#include <limits>
#include <numbers>

namespace attnlab {

MergedTokens merge_tokens(const torch::Tensor& a, const torch::Tensor& b, double t) {
  constexpr double kStraight = 1e-6;
  const auto wide = [](const torch::Tensor& x) {
    return x.scalar_type() == torch::kFloat64 ? x : x.to(torch::kFloat32);
  };
  const auto unit = [](const torch::Tensor& x, const torch::Tensor& norm) {
    return x / torch::where(norm > 0, norm, torch::ones_like(norm)).unsqueeze(-1);
  };
  const auto x = wide(a), y = wide(b);
  const auto norm_a = x.norm(2, -1), norm_b = y.norm(2, -1);
  const auto u = unit(x, norm_a), v = unit(y, norm_b);
  const auto angle = (u * v).sum(-1).clamp(-1, 1).acos();
  const auto sine = angle.sin();
  const auto straight = sine < kStraight;
  const auto weight = [&](double share, const torch::Tensor& of) {
    return (torch::where(straight, torch::full_like(angle, share),
                         (share * angle).sin() / torch::where(straight, torch::ones_like(sine), sine)))
               .unsqueeze(-1) *
           of;
  };
  const auto mixed = weight(1 - t, u) + weight(t, v);
  // Of unit vectors it is one already, but where one is zero or they are all but parallel.
  const auto direction = unit(mixed, mixed.norm(2, -1));
  return {.direction = direction,
          .norm_a = norm_a,
          .norm_b = norm_b,
          .angle = angle,
          .opposite = straight.logical_and(angle > std::numbers::pi / 2)};
}

torch::Tensor read_merged(const torch::Tensor& direction, const torch::Tensor& norm) {
  return norm.unsqueeze(-1) * direction;
}

torch::Tensor retain_bound(const torch::Tensor& angle, const torch::Tensor& counted, double gamma,
                           RetainRule rule) {
  constexpr double kNone = std::numeric_limits<double>::infinity();
  const auto filled = [&](double value) {
    return counted.defined() ? angle.masked_fill(counted.logical_not(), value) : angle;
  };
  const auto most = filled(-kNone).amax(-1, true), least = filled(kNone).amin(-1, true);
  return rule == RetainRule::far ? most - gamma * (most - least) : least + gamma * (most - least);
}

torch::Tensor retained(const MergedTokens& merged, const torch::Tensor& bound, RetainRule rule) {
  const auto chosen = rule == RetainRule::far ? merged.angle > bound : merged.angle < bound;
  return chosen.logical_or(merged.opposite);
}

}  // namespace attnlab
