#include "train/layer_losses.h"

#include <limits>

#include "core/errors.h"

namespace attnlab {
namespace {

using torch::Tensor;

constexpr double kEpsilon = 1e-6;

Tensor at_least_float32(const Tensor& x) {
  return x.to(x.scalar_type() == torch::kFloat64 ? torch::kFloat64 : torch::kFloat32);
}

template <class Loss>
Tensor sum_over_layers(const Layers& student, const Layers& teacher, const Loss& loss) {
  ATTNLAB_CHECK(!student.empty() && student.size() == teacher.size());
  Tensor sum = loss(student[0], teacher[0]);
  for (size_t i = 1; i < student.size(); ++i) sum = sum + loss(student[i], teacher[i]);
  return sum;
}

// ‖a - b‖₂ of each row.
Tensor distances(const Tensor& a, const Tensor& b) {
  return ((at_least_float32(a) - at_least_float32(b)).square().sum(-1) + kEpsilon * kEpsilon).sqrt();
}

}  // namespace

Tensor summed_distance(const Tensor& a, const Tensor& b) { return distances(a, b).sum(); }

Tensor mean_distances(const Layers& student, const Layers& teacher) {
  return sum_over_layers(student, teacher,
                         [](const Tensor& s, const Tensor& t) { return distances(s, t).mean(); });
}

Tensor matrix_distances(const Layers& student, const Layers& teacher) {
  return sum_over_layers(student, teacher, [](const Tensor& s, const Tensor& t) {
    return distances(s.flatten(-2), t.flatten(-2)).mean();
  });
}

Tensor mean_squared_errors(const Layers& student, const Layers& teacher) {
  const auto sum = sum_over_layers(student, teacher, [](const Tensor& s, const Tensor& t) {
    return (at_least_float32(s) - at_least_float32(t)).square().mean();
  });
  return sum / static_cast<double>(student.size());
}

// What is 0 counts as the smallest normal number and gets no gradient.
Tensor row_cross_entropies(const Layers& student, const Layers& teacher) {
  const auto sum = sum_over_layers(student, teacher, [](const Tensor& s, const Tensor& t) {
    const auto shares = torch::where(s > 0, at_least_float32(s), std::numeric_limits<float>::min());
    return (shares.sum(-1).log() - (at_least_float32(t) * shares.log()).sum(-1)).mean();
  });
  return sum / static_cast<double>(student.size());
}

}  // namespace attnlab
