#include "stats/distributions.h"

#include <boost/math/distributions/binomial.hpp>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>

#include "core/errors.h"

namespace attnlab {
namespace {

boost::math::binomial binomial(int64_t n, double p) {
  ATTNLAB_CHECK(n >= 0 && p >= 0 && p <= 1);
  return {static_cast<double>(n), p};
}

}  // namespace

double normal_cdf(double z) { return boost::math::cdf(boost::math::normal(), z); }

double normal_quantile(double p) {
  ATTNLAB_CHECK(p > 0 && p < 1);
  return boost::math::quantile(boost::math::normal(), p);
}

double student_t_cdf(double t, double df) {
  ATTNLAB_CHECK(df > 0);
  return boost::math::cdf(boost::math::students_t(df), t);
}

double student_t_quantile(double p, double df) {
  ATTNLAB_CHECK(p > 0 && p < 1 && df > 0);
  return boost::math::quantile(boost::math::students_t(df), p);
}

double binomial_pmf(int64_t k, int64_t n, double p) {
  const auto distribution = binomial(n, p);
  return k < 0 || k > n ? 0 : boost::math::pdf(distribution, static_cast<double>(k));
}

double binomial_cdf(int64_t k, int64_t n, double p) {
  const auto distribution = binomial(n, p);
  if (k < 0) return 0;
  return k >= n ? 1 : boost::math::cdf(distribution, static_cast<double>(k));
}

}  // namespace attnlab
