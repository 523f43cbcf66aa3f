#include <algorithm>

#include "kernels/cpu_kernels.h"
#include "kernels/parallel.h"

namespace attnlab::cpu {
namespace {

using torch::Tensor;

template <class T>
float rounded(float value) {
  return static_cast<float>(static_cast<T>(value));
}

// The places of the i-th pair's two numbers: step · i and step · i + apart.
struct Pairs {
  int64_t step, apart;
};
Pairs pairs_of(bool neighbours, int64_t half) { return neighbours ? Pairs{2, 1} : Pairs{1, half}; }

// y = (x1 c - x2 s, x2 c + x1 s), and back. What torch's first operation gives is rounded to the wider of the
// formats of x and tables; gradients of x's two uses to that of x.
template <class T, class Table, bool backwards>
void turn_head(const T* __restrict x, Pairs in, const Table* __restrict c, const Table* __restrict s,
               int64_t half, T* __restrict y, Pairs out) {
  for (int64_t i = 0; i < half; ++i) {
    const float x1 = static_cast<float>(x[in.step * i]), x2 = static_cast<float>(x[in.step * i + in.apart]);
    const float cos = static_cast<float>(c[i]), sin = static_cast<float>(s[i]);
    float y1, y2;
    if constexpr (backwards) {
      y1 = rounded<T>(x1 * cos) + rounded<T>(x2 * sin);
      y2 = rounded<T>(x2 * cos) - rounded<T>(x1 * sin);
    } else {
      y1 = rounded<Table>(x1 * cos) - x2 * sin;
      y2 = rounded<Table>(x2 * cos) + x1 * sin;
    }
    y[out.step * i] = static_cast<T>(y1);
    y[out.step * i + out.apart] = static_cast<T>(y2);
  }
}

template <class T, class Table, bool backwards>
void turn_heads(const Tensor& x, const Tensor& cos, const Tensor& sin, Turn turn, Tensor& out) {
  const int64_t B = x.size(0), N = x.size(1), T_ = x.size(2), H = x.size(3), half = cos.size(2) / 2;
  const int64_t table_b = cos.size(0) == 1 ? 0 : cos.stride(0), table_t = cos.size(1) == 1 ? 0 : cos.stride(1);
  const auto in_pairs = pairs_of(turn.in_pairs, half), out_pairs = pairs_of(turn.out_pairs, half);
  const T* from = x.const_data_ptr<T>();
  const Table *c = cos.const_data_ptr<Table>(), *s = sin.const_data_ptr<Table>();
  T* to = out.data_ptr<T>();
  const bool halves = !turn.in_pairs && !turn.out_pairs;
  in_parallel(B * T_, std::max<int64_t>(1, 16384 / (N * H)), [&](int64_t begin, int64_t end) {
    for (int64_t bt = begin; bt < end; ++bt) {
      const int64_t b = bt / T_, t = bt % T_, table = b * table_b + t * table_t;
      for (int64_t n = 0; n < N; ++n) {
        const T* head = from + b * x.stride(0) + n * x.stride(1) + t * x.stride(2);
        T* turned = to + b * out.stride(0) + n * out.stride(1) + t * out.stride(2);
        if (halves)  // steps of 1 that the compiler sees make vectors
          turn_head<T, Table, backwards>(head, {1, half}, c + table, s + table, half, turned, {1, half});
        else
          turn_head<T, Table, backwards>(head, in_pairs, c + table, s + table, half, turned, out_pairs);
        std::copy(head + 2 * half, head + H, turned + 2 * half);
      }
    }
  });
}

template <class T, class Table>
void turn_either_way(const Tensor& x, const Tensor& cos, const Tensor& sin, Turn turn, Tensor& out) {
  if (turn.backwards)
    turn_heads<T, Table, true>(x, cos, sin, turn, out);
  else
    turn_heads<T, Table, false>(x, cos, sin, turn, out);
}

}  // namespace

void rotate(const Tensor& x_BNTH, const Tensor& cos_BTr, const Tensor& sin_BTr, Turn turn, Tensor& out_BNTH) {
  if (x_BNTH.scalar_type() == torch::kFloat32)
    turn_either_way<float, float>(x_BNTH, cos_BTr, sin_BTr, turn, out_BNTH);
  else if (cos_BTr.scalar_type() == torch::kFloat32)
    turn_either_way<c10::BFloat16, float>(x_BNTH, cos_BTr, sin_BTr, turn, out_BNTH);
  else
    turn_either_way<c10::BFloat16, c10::BFloat16>(x_BNTH, cos_BTr, sin_BTr, turn, out_BNTH);
}

}  // namespace attnlab::cpu
