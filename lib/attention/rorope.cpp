#include "attention/rorope.h"

#include <vector>

#include "attention/spectral.h"
#include "core/errors.h"

namespace attnlab {
namespace {

constexpr double kRotationDamping = 0.01;

// Places of band b among (head, frequency), flattened: head by head, frequency by frequency.
torch::Tensor band_places(const RopeFold& fold, int64_t band) {
  const auto heads = torch::arange(fold.n_kv_heads).unsqueeze(1) * (fold.head_dim / 2);
  const auto frequencies = torch::arange(fold.freqfold).unsqueeze(0) + band * fold.freqfold;
  return (heads + frequencies).flatten();
}

// A place among (head, frequency) as a row of the keys: its cosine partner. The sine partner lies H/2 further.
torch::Tensor key_rows(const torch::Tensor& places, const RopeFold& fold) {
  const int64_t half = fold.head_dim / 2;
  return places.div(half, "floor") * fold.head_dim + places.remainder(half);
}

}  // namespace

torch::Tensor fold_halves(const torch::Tensor& key_moment, const RopeFold& fold) {
  const int64_t half = fold.head_dim / 2;
  const auto cosines = key_rows(torch::arange(fold.n_kv_heads * half), fold).to(key_moment.device());
  const auto block = [&](const torch::Tensor& rows) {
    return key_moment.index_select(0, rows).index_select(1, rows);
  };
  return block(cosines) + block(cosines + half);
}

torch::Tensor rorope_rotation(const torch::Tensor& folded, const RopeFold& fold) {
  ATTNLAB_CHECK(fold.head_dim % (2 * fold.freqfold) == 0 && fold.freqfold % fold.collapse == 0);
  const int64_t half = fold.head_dim / 2, width = fold.n_kv_heads * fold.head_dim;
  auto rotation = torch::zeros({width, width}, folded.options());
  for (int64_t b = 0; b < fold.bands(); ++b) {
    const auto places = band_places(fold, b).to(folded.device());
    const auto moment = folded.index_select(0, places).index_select(1, places);
    const auto turn =
        spectrum_of(damped(moment, kRotationDamping)).vectors.t();  // row p: the p-th strongest direction
    // The places of a band, head by head, are also where its numbers go, strongest first.
    const auto rows = key_rows(places, fold);
    for (const int64_t shift : {int64_t{0}, half})
      rotation.index_put_({(rows + shift).unsqueeze(1), (rows + shift).unsqueeze(0)}, turn);
  }
  return rotation;
}

torch::Tensor rope_first_order(const RopeFold& fold) {
  const int64_t half = fold.head_dim / 2, kept = fold.freqfold / fold.collapse;
  std::vector<int64_t> order;
  for (int64_t part = 0; part < fold.n_kv_heads * fold.collapse; ++part)
    for (int64_t b = 0; b < fold.bands(); ++b)
      for (int64_t p = part * kept; p < (part + 1) * kept; ++p) {
        const int64_t head = p / fold.freqfold, frequency = b * fold.freqfold + p % fold.freqfold;
        order.push_back(head * fold.head_dim + frequency);
        order.push_back(head * fold.head_dim + frequency + half);
      }
  return torch::tensor(order);
}

}  // namespace attnlab
