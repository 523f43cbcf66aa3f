#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/cpu_kernels.h"
#include "kernels/parallel.h"

namespace attnlab::cpu {
namespace {

using torch::Tensor;

// Σ term(i): 32 sums side by side, which the compiler puts into vectors, the last numbers in eights and one by
// one.
template <class Term>
inline float sum_of(int64_t n, const Term& term) {
  constexpr int64_t lanes = 8, sums = 4;
  float sum[sums * lanes] = {};
  int64_t i = 0;
  for (; i + sums * lanes <= n; i += sums * lanes)
    for (int64_t l = 0; l < sums * lanes; ++l) sum[l] += term(i + l);
  for (; i + lanes <= n; i += lanes)
    for (int64_t l = 0; l < lanes; ++l) sum[l] += term(i + l);
  for (int64_t s = 1; s < sums; ++s)
    for (int64_t l = 0; l < lanes; ++l) sum[l] += sum[s * lanes + l];
  float total = 0;
  for (; i < n; ++i) total += term(i);
  for (int64_t l = 0; l < lanes; ++l) total += sum[l];
  return total;
}

template <class T>
const T* values(const Tensor& x) {
  return x.defined() ? x.const_data_ptr<T>() : nullptr;
}
template <class T>
T* place(const Tensor& x) {
  return x.defined() ? x.data_ptr<T>() : nullptr;
}

// Rows that a thread takes at least.
int64_t grain(int64_t width) { return std::max<int64_t>(1, 16384 / width); }

// One row; `wide` is room for it in float32. Returns 1 / √(mean square + eps).
template <class T, class A>
float norm_row(const T* __restrict x, const A* __restrict added, const T* __restrict weight, float eps,
               int64_t n, T* __restrict stream, T* __restrict normed, float* __restrict wide) {
  if (added)
    for (int64_t i = 0; i < n; ++i)
      stream[i] = static_cast<T>(static_cast<float>(x[i]) + static_cast<float>(added[i]));
  const T* __restrict taken = added ? stream : x;
  for (int64_t i = 0; i < n; ++i) wide[i] = static_cast<float>(taken[i]);
  const float squares = sum_of(n, [wide](int64_t i) { return wide[i] * wide[i]; });
  const float r = 1 / std::sqrt(squares / static_cast<float>(n) + eps);
  for (int64_t i = 0; i < n; ++i) normed[i] = static_cast<T>(wide[i] * r * static_cast<float>(weight[i]));
  return r;
}

template <class T, class A>
void norm_rows(const Tensor& x, const Tensor& added, const Tensor& weight, double eps, NormOutputs& out) {
  const int64_t n = weight.numel();
  const T *from = values<T>(x), *w = values<T>(weight);
  const A* plus = values<A>(added);
  T *stream = place<T>(out.stream), *normed = place<T>(out.normed);
  float* r = place<float>(out.r_R);
  in_parallel(x.numel() / n, grain(n), [&](int64_t begin, int64_t end) {
    std::vector<float> wide(static_cast<size_t>(n));
    for (int64_t row = begin; row < end; ++row)
      r[row] = norm_row(from + row * n, plus ? plus + row * n : nullptr, w, static_cast<float>(eps), n,
                        plus ? stream + row * n : nullptr, normed + row * n, wide.data());
  });
}

// What a row of the backward pass reads, in float32.
struct WideRow {
  explicit WideRow(int64_t n) : x(static_cast<size_t>(n)), d(x), dstream(x) {}
  std::vector<float> x, d, dstream;
};

template <class T>
void widen(const T* __restrict from, int64_t n, float* __restrict to) {
  for (int64_t i = 0; i < n; ++i) to[i] = static_cast<float>(from[i]);
}

// dx = r w d - x r³ mean(w d x) for d = dnormed, plus dstream. In bfloat16 the former is rounded before.
template <class T>
void row_gradient(const float* __restrict d, const float* __restrict x, const float* __restrict w,
                  const float* __restrict dstream, float r, int64_t n, T* __restrict dx) {
  const float dr = sum_of(n, [=](int64_t i) { return d[i] * w[i] * x[i]; });
  const float along = -0.5f * dr * (r * r * r) / static_cast<float>(n) * 2;
  if (!dstream) {
    for (int64_t i = 0; i < n; ++i) dx[i] = static_cast<T>(d[i] * w[i] * r + along * x[i]);
  } else if constexpr (std::is_same_v<T, float>) {
    for (int64_t i = 0; i < n; ++i) dx[i] = dstream[i] + d[i] * w[i] * r + along * x[i];
  } else {
    for (int64_t i = 0; i < n; ++i)
      dx[i] = static_cast<T>(static_cast<float>(static_cast<T>(d[i] * w[i] * r + along * x[i])) + dstream[i]);
  }
}

// dweight = Σ over rows d x r. Row i is added to the (i mod 4)-th of four sums, which are kept for each block
// of 64 rows and then joined in the blocks' order, whatever the threads; the rows behind the last four come
// last.
class WeightSums {
 public:
  static constexpr int64_t kSums = 4, kBlock = 16 * kSums;
  WeightSums(int64_t rows, int64_t n)
      : rows_(rows), n_(n), sums_(static_cast<size_t>((blocks() * kSums + kSums) * n)) {}
  int64_t blocks() const { return (rows_ + kBlock - 1) / kBlock; }
  void add(int64_t row, const float* __restrict d, const float* __restrict x, float r) {
    const bool is_last = row >= rows_ - rows_ % kSums;
    float* __restrict sum = at(is_last ? blocks() : row / kBlock, row % kSums);
    for (int64_t i = 0; i < n_; ++i) sum[i] += d[i] * (x[i] * r);
  }
  template <class T>
  void join_into(T* total) {
    for (int64_t s = 0; s < kSums; ++s)
      for (int64_t block = 1; block < blocks(); ++block) add_to(at(0, s), at(block, s));
    for (int64_t s = 0; s < rows_ % kSums; ++s) add_to(at(0, 0), at(blocks(), s));
    for (int64_t s = 1; s < kSums; ++s) add_to(at(0, 0), at(0, s));
    for (int64_t i = 0; i < n_; ++i) total[i] = static_cast<T>(at(0, 0)[i]);
  }

 private:
  float* at(int64_t block, int64_t sum) { return sums_.data() + (block * kSums + sum) * n_; }
  void add_to(float* __restrict sum, const float* __restrict more) const {
    for (int64_t i = 0; i < n_; ++i) sum[i] += more[i];
  }

  int64_t rows_, n_;
  std::vector<float> sums_;
};

template <class T>
void backward_rows(const Tensor& dnormed, const Tensor& dstream, const Tensor& stream, const Tensor& weight,
                   const Tensor& r_R, NormGradients& out) {
  const int64_t n = weight.numel(), rows = stream.numel() / n;
  const T *d = values<T>(dnormed), *ds = values<T>(dstream), *x = values<T>(stream);
  const float* r = values<float>(r_R);
  T* dx = place<T>(out.dx);
  const auto w = weight.to(torch::kFloat32);
  WeightSums sums(out.dweight.defined() ? rows : 0, n);
  constexpr int64_t block = WeightSums::kBlock;
  in_parallel((rows + block - 1) / block, (grain(n) + block - 1) / block, [&](int64_t first, int64_t end) {
    WideRow wide(n);
    for (int64_t row = first * block; row < std::min(rows, end * block); ++row) {
      widen(d + row * n, n, wide.d.data());
      widen(x + row * n, n, wide.x.data());
      if (ds) widen(ds + row * n, n, wide.dstream.data());
      if (dx)
        row_gradient(wide.d.data(), wide.x.data(), values<float>(w), ds ? wide.dstream.data() : nullptr, r[row],
                     n, dx + row * n);
      if (out.dweight.defined()) sums.add(row, wide.d.data(), wide.x.data(), r[row]);
    }
  });
  if (out.dweight.defined()) sums.join_into(place<T>(out.dweight));
}

}  // namespace

void rms_norm(const Tensor& x, const Tensor& added, const Tensor& weight, double eps, NormOutputs& out) {
  const bool half_added = added.defined() && added.scalar_type() == torch::kBFloat16;
  if (x.scalar_type() == torch::kBFloat16)
    norm_rows<c10::BFloat16, c10::BFloat16>(x, added, weight, eps, out);
  else if (half_added)
    norm_rows<float, c10::BFloat16>(x, added, weight, eps, out);
  else
    norm_rows<float, float>(x, added, weight, eps, out);
}

void rms_norm_backward(const Tensor& dnormed, const Tensor& dstream, const Tensor& stream, const Tensor& weight,
                       const Tensor& r_R, NormGradients& out) {
  if (stream.scalar_type() == torch::kBFloat16)
    backward_rows<c10::BFloat16>(dnormed, dstream, stream, weight, r_R, out);
  else
    backward_rows<float>(dnormed, dstream, stream, weight, r_R, out);
}

}  // namespace attnlab::cpu
