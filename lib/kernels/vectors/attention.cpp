// Causal attention of one head, whole rows of scores at once: T numbers for each of a few queries fit a cache.
//
// Products go by tiles of a few rows and two vectors, whose sums stay in registers.
#include "kernels/cpu_vectors.h"
#include "kernels/vectors/elementwise.h"
#include "kernels/vectors/wide.h"

namespace attnlab::vectors::ATTNLAB_VECTORS {
namespace {

constexpr int64_t kColumns = 2 * kLanes;
constexpr int64_t kTileRows = kLanes == 16 ? 8 : 4;  // their sums take half of 32, or 16, registers

int64_t lesser(int64_t a, int64_t b) { return a < b ? a : b; }
int64_t greater(int64_t a, int64_t b) { return a > b ? a : b; }
int64_t whole_tiles(int64_t columns) { return (columns + kColumns - 1) / kColumns * kColumns; }

// c [R, kColumns] = (c +) Σ_k a(r, k) b [k, kColumns] over n of k. a(r, k) lies at r · step + k, or of a turned
// factor at r + k · step.
template <int R, bool turned>
void multiply_tile(InRows a, InRows b, int64_t n, OutRows c, bool add) {
  Wide sum[R][2];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) sum[r][j] = add ? load(c.at + r * c.step + j * kLanes) : Wide{};
  for (int64_t k = 0; k < n; ++k) {
    const float* row = b.at + k * b.step;
    const Wide first = load(row), second = load(row + kLanes);
    const float* column = a.at + (turned ? k * a.step : k);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const Wide x = all(column[turned ? r : r * a.step]);
      sum[r][0] += x * first;
      sum[r][1] += x * second;
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) store(c.at + r * c.step + j * kLanes, sum[r][j]);
}

template <bool turned>
void multiply_rows(int64_t rows, InRows a, InRows b, int64_t n, OutRows c, bool add) {
  switch (rows) {
    case 1:
      return multiply_tile<1, turned>(a, b, n, c, add);
    case 2:
      return multiply_tile<2, turned>(a, b, n, c, add);
    case 3:
      return multiply_tile<3, turned>(a, b, n, c, add);
    case 4:
      return multiply_tile<4, turned>(a, b, n, c, add);
    case 5:
      return multiply_tile<5, turned>(a, b, n, c, add);
    case 6:
      return multiply_tile<6, turned>(a, b, n, c, add);
    case 7:
      return multiply_tile<7, turned>(a, b, n, c, add);
    default:
      return multiply_tile<8, turned>(a, b, n, c, add);
  }
}

// c [rows, columns] = (c +) a b, columns a multiple of kColumns.
template <bool turned>
void multiply(int64_t rows, int64_t columns, InRows a, InRows b, int64_t n, OutRows c, bool add) {
  for (int64_t r = 0; r < rows; r += kTileRows)
    for (int64_t j = 0; j < columns; j += kColumns)
      multiply_rows<turned>(lesser(kTileRows, rows - r), {a.at + r * (turned ? 1 : a.step), a.step},
                            {b.at + j, b.step}, n, {c.at + r * c.step + j, c.step}, add);
}

InRows from(InRows rows, int64_t row) { return {rows.at + row * rows.step, rows.step}; }
OutRows from(OutRows rows, int64_t row) { return {rows.at + row * rows.step, rows.step}; }
InRows read(OutRows rows) { return {rows.at, rows.step}; }

// The first `seen` of `columns` scores become e^(scale · (score - the greatest)), the others 0. Returns the sum
// of exponentials, and in `most` the greatest, scaled.
float soften(float* scores, int64_t seen, int64_t columns, float scale, float* most) {
  for (int64_t j = seen; j < columns; ++j) scores[j] = -__builtin_inff();
  Wide greatest = load(scores);
  for (int64_t j = kLanes; j < columns; j += kLanes) greatest = greater_of(greatest, load(scores + j));
  *most = greatest_of(greatest) * scale;
  Wide sum{};
  for (int64_t j = 0; j < columns; j += kLanes) {
    const Wide share = exp_of(load(scores + j) * scale - *most);
    sum += share;
    store(scores + j, share);
  }
  return sum_of(sum);
}

float product_of(const float* a, const float* b, int64_t n) {
  Wide sum{};
  for (int64_t i = 0; i < n; i += kLanes) sum += load(a + i) * load(b + i);
  return sum_of(sum);
}

// Of one query: scores → shares e^(scale · score - lse), and d shares → d scores = scale · share · (d share -
// Σ share · d share), of which the sum is `along`.
void chain_softmax(float* scores, float* dshares, int64_t seen, int64_t columns, float scale, float lse,
                   float along) {
  for (int64_t j = seen; j < columns; ++j) scores[j] = -__builtin_inff();
  for (int64_t j = 0; j < columns; j += kLanes) {
    const Wide share = exp_of(load(scores + j) * scale - lse);
    store(scores + j, share);
    store(dshares + j, share * (load(dshares + j) - along) * scale);
  }
}

void turn_round(InRows x, int64_t T, int64_t H, float* to) {
  const int64_t step = turned_step(T);
  for (int64_t t0 = 0; t0 < T; t0 += kLanes)
    for (int64_t h = 0; h < H; ++h)
      for (int64_t t = t0; t < lesser(T, t0 + kLanes); ++t) to[h * step + t] = x.at[t * x.step + h];
  for (int64_t h = 0; h < H; ++h)
    for (int64_t t = T; t < step; ++t) to[h * step + t] = 0;
}

void attend(const Head& head, const float* turned_k, float* room, OutRows out, float* lse_T) {
  const OutRows scores{room, turned_step(head.T)};
  const InRows keys{turned_k, turned_step(head.T)};
  for (int64_t t = 0; t < head.T; t += kQueryTile) {
    const int64_t rows = lesser(kQueryTile, head.T - t), seen = t + rows, columns = whole_tiles(seen);
    multiply<false>(rows, columns, from(head.q, t), keys, head.H, scores, false);
    float sums[kQueryTile];
    for (int64_t r = 0; r < rows; ++r) {
      float most;
      sums[r] = soften(from(scores, r).at, t + r + 1, columns, head.scale, &most);
      lse_T[t + r] = most + __builtin_logf(sums[r]);
    }
    multiply<false>(rows, head.H, read(scores), head.v, seen, from(out, t), false);
    for (int64_t r = 0; r < rows; ++r) {
      float* row = from(out, t + r).at;
      for (int64_t h = 0; h < head.H; h += kLanes) store(row + h, load(row + h) / sums[r]);
    }
  }
}

// Shares and the gradients of scores of a block of queries from `begin`, and dq.
struct QueryBlock {
  int64_t begin, end;
  OutRows shares, dscores;
};
void block_gradients(const Head& head, InRows keys, InRows values, const QueryBlock& block,
                     const HeadGradients& to) {
  for (int64_t t = block.begin; t < block.end; t += kQueryTile) {
    const int64_t rows = lesser(kQueryTile, block.end - t), seen = t + rows, columns = whole_tiles(seen);
    const OutRows shares = from(block.shares, t - block.begin), dscores = from(block.dscores, t - block.begin);
    multiply<false>(rows, columns, from(head.q, t), keys, head.H, shares, false);
    multiply<false>(rows, columns, from(to.dout, t), values, head.H, dscores, false);
    for (int64_t r = 0; r < rows; ++r)
      chain_softmax(from(shares, r).at, from(dscores, r).at, t + r + 1, columns, head.scale, to.lse_T[t + r],
                    product_of(from(to.out, t + r).at, from(to.dout, t + r).at, head.H));
    multiply<false>(rows, head.H, read(dscores), head.k, seen, from(to.dq, t), false);
  }
}

// What a block of queries adds to the gradient of keys or values: factorᵀ · rows, over the queries from each
// tile of keys on.
void add_turned(const Head& head, const QueryBlock& block, OutRows factor, InRows rows, float* to) {
  for (int64_t s = 0; s < block.end; s += kQueryTile) {
    const int64_t first = greater(s, block.begin), skipped = first - block.begin;
    multiply<true>(kQueryTile, head.H, {factor.at + skipped * factor.step + s, factor.step}, from(rows, first),
                   block.end - first, {to + s * head.H, head.H}, true);
  }
}

void attend_backward(const Head& head, const float* turned_k, const float* turned_v, float* room,
                     const HeadGradients& to) {
  const int64_t step = turned_step(head.T);
  for (int64_t i = 0; i < padded_length(head.T) * head.H; ++i) to.dk[i] = to.dv[i] = 0;
  for (int64_t t = 0; t < head.T; t += kQueryBlock) {
    const QueryBlock block{t, lesser(head.T, t + kQueryBlock), {room, step}, {room + kQueryBlock * step, step}};
    block_gradients(head, {turned_k, step}, {turned_v, step}, block, to);
    add_turned(head, block, block.shares, to.dout, to.dv);
    add_turned(head, block, block.dscores, head.q, to.dk);
  }
}

}  // namespace

Loops loops() {
  return {.turn_round = turn_round,
          .attend = attend,
          .attend_backward = attend_backward,
          .gated_silu = gated_silu,
          .gated_silu_backward = gated_silu_backward,
          .cross_entropy = cross_entropy};
}

}  // namespace attnlab::vectors::ATTNLAB_VECTORS
