// The losses of a student and its teacher at one position, in plain loops and double precision.
#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "model/divergence_form.h"

namespace attnlab::test {

using Numbers = std::vector<double>;

inline Numbers softmax_of(const Numbers& logits, double temperature) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  Numbers shares;
  double sum = 0;
  for (const double z : logits) {
    shares.push_back(std::exp((z - largest) / temperature));
    sum += shares.back();
  }
  for (double& share : shares) share /= sum;
  return shares;
}

inline double kl(const Numbers& p, const Numbers& q) {
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i)
    if (p[i] > 0) sum += p[i] * (std::log(p[i]) - std::log(q[i]));
  return sum;
}

inline double divergence_of(const Numbers& p, const Numbers& q, const DivergenceForm& form) {
  if (form.loss == Divergence::forward_kl) return kl(p, q);
  if (form.loss == Divergence::reverse_kl) return kl(q, p);
  if (form.beta == 0) return kl(p, q);
  if (form.beta == 1) return kl(q, p);
  Numbers m;
  for (size_t i = 0; i < p.size(); ++i) m.push_back(form.beta * p[i] + (1 - form.beta) * q[i]);
  return form.beta * kl(p, m) + (1 - form.beta) * kl(q, m);
}

// Indices of the k largest.
inline std::vector<size_t> largest_of(const Numbers& logits, int64_t k) {
  std::vector<size_t> order(logits.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return logits[a] > logits[b]; });
  order.resize(static_cast<size_t>(k));
  return order;
}

inline Numbers taken(const Numbers& all, const std::vector<size_t>& kept) {
  Numbers out;
  for (const size_t i : kept) out.push_back(all[i]);
  return out;
}

inline double kept_divergence(const Numbers& student, const Numbers& teacher, const DivergenceForm& form) {
  const auto kept = largest_of(teacher, form.top_k);
  const double tau = form.temperature;
  if (form.top_k_form == TopkForm::renormalised)
    return divergence_of(softmax_of(taken(teacher, kept), tau), softmax_of(taken(student, kept), tau), form);
  Numbers p = taken(softmax_of(teacher, tau), kept), q = taken(softmax_of(student, tau), kept);
  if (form.top_k_form == TopkForm::tail_bucket) {
    for (Numbers* shares : {&p, &q})
      shares->push_back(1 - std::accumulate(shares->begin(), shares->end(), 0.0));
    return divergence_of(p, q, form);
  }
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i)
    sum += p[i] * ((form.top_k_form == TopkForm::partial ? std::log(p[i]) : 0) - std::log(q[i]));
  return sum;
}

inline double twin_divergence(const Numbers& student, const Numbers& teacher, const DivergenceForm& form) {
  const double factor = form.loss == Divergence::jsd ? 1 : form.temperature * form.temperature;
  if (form.top_k > 0) return factor * kept_divergence(student, teacher, form);
  return factor *
         divergence_of(softmax_of(teacher, form.temperature), softmax_of(student, form.temperature), form);
}

inline double twin_cross_entropy(const Numbers& student, int64_t target) {
  return -std::log(softmax_of(student, 1)[static_cast<size_t>(target)]);
}

}  // namespace attnlab::test
