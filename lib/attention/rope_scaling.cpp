#include "attention/rope_scaling.h"

#include <cmath>

namespace attnlab {
namespace {

double magnitude(double factor, double mscale) { return factor <= 1 ? 1 : 1 + 0.1 * mscale * std::log(factor); }

}  // namespace

double RopeScaling::table_factor() const {
  if (type != RopeType::yarn && type != RopeType::longrope) return 1;
  if (attention_factor) return *attention_factor;
  if (factor <= 1) return 1;
  if (type == RopeType::longrope)
    return std::sqrt(1 + std::log(factor) / std::log(static_cast<double>(original_positions)));
  if (mscale > 0 && mscale_all_dim > 0) return magnitude(factor, mscale) / magnitude(factor, mscale_all_dim);
  return magnitude(factor, 1);
}

double RopeScaling::mla_score_factor() const {
  if (type != RopeType::yarn || mscale_all_dim <= 0) return 1;
  const double m = magnitude(factor, mscale_all_dim);
  return m * m;
}

RopeScaling RopeScaling::with_plain_factor() const {
  RopeScaling plain = *this;
  if (type != RopeType::yarn || (mscale == 0 && mscale_all_dim == 0)) return plain;
  plain.attention_factor = table_factor();
  plain.mscale = plain.mscale_all_dim = 0;
  return plain;
}

}  // namespace attnlab
