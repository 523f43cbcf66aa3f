#include "train/rank_share.h"

#include <fmt/format.h>

#include <algorithm>

namespace attnlab {
namespace {

Batch rows_of(const Batch& batch, int64_t begin, int64_t end) {
  Batch part{.rows = end - begin, .columns = batch.columns, .tokens = batch.tokens};
  const auto cut = [&](const std::vector<int64_t>& from) {
    if (from.empty()) return from;
    return std::vector<int64_t>(from.begin() + begin * batch.columns, from.begin() + end * batch.columns);
  };
  part.input_ids = cut(batch.input_ids);
  part.targets = cut(batch.targets);
  part.positions = cut(batch.positions);
  part.loss_tokens =
      std::count_if(part.targets.begin(), part.targets.end(), [](int64_t id) { return id >= 0; });
  return part;
}

}  // namespace

std::vector<Batch> share_of(const std::vector<Batch>& micro_batches, int64_t rank, int64_t size) {
  const auto count = static_cast<int64_t>(micro_batches.size());
  std::vector<Batch> share;
  if (count % size == 0) {
    const auto begin = micro_batches.begin() + rank * (count / size);
    share.assign(begin, begin + count / size);
    return share;
  }
  for (const auto& batch : micro_batches)
    share.push_back(rows_of(batch, batch.rows * rank / size, batch.rows * (rank + 1) / size));
  return share;
}

std::optional<BadInput> share_problem(const TrainConfig& config, int64_t ranks) {
  if (ranks == 1) return std::nullopt;
  if (config.prune)
    return BadInput{.key = "prune", .found = fmt::format("masks with {} ranks", ranks), .expected = "one rank"};
  if (config.domains)
    return BadInput{
        .key = "domains", .found = fmt::format("shares with {} ranks", ranks), .expected = "one rank"};
  if (config.micro_batches % ranks != 0 && config.batch_size < ranks)
    return BadInput{
        .key = "batch_size",
        .found = fmt::format("{} with {} ranks", config.batch_size, ranks),
        .expected = fmt::format("at least a row for each rank, or micro_batches a multiple of {}", ranks)};
  return std::nullopt;
}

// Ranks sum in float32 whatever type the parameters have. Of sharded parameters two layers are gathered at a
// time, a layer's gradients and their sums exist once, and what lies around the layers is whole with its
// gradients.
int64_t held_bytes(const TrainConfig& config, const HeldParameters& parameters, int64_t ranks) {
  const int64_t weight = config.precision == Precision::bf16 ? 2 : 4;
  if (ranks == 1) return weight * parameters.all + 3 * weight * parameters.trained;
  const int64_t state = 4 + (weight == 4 ? 0 : weight) + 2 * weight;
  if (config.shard != Sharded::parameters)
    return weight * parameters.all +
           state * parameters.trained / (config.shard == Sharded::optimizer ? ranks : 1);
  const int64_t gathered = config.precision == Precision::float32 ? 4 : 2;
  return (weight * parameters.all + state * parameters.trained) / ranks +
         (3 * gathered + 4) * parameters.layer + (2 * weight + 4) * parameters.outer;
}

}  // namespace attnlab
