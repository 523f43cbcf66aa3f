#include "experiment/run/domain_loader.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "core/errors.h"
#include "eval/heldout.h"

namespace attnlab {
namespace {

std::vector<double> shares_of(std::vector<double> weights) {
  const double all = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (auto& weight : weights) weight /= all;
  return weights;
}

}  // namespace

DomainLoader::DomainLoader(const RunConfig& config, const Base& base, const Data& data)
    : config_(*config.train.domains),
      precision_(config.train.precision),
      rows_per_step_(config.train.batch_size * config.train.micro_batches) {
  BatchConfig batches = batch_config(config, base);
  stream_ = std::make_shared<const DomainStream>(data.train, base.tokenizer, batches,
                                                 static_cast<uint64_t>(config.seed));
  history_ = std::make_shared<const ShareHistory>(shares_of(data.train->weights()), rows_per_step_);
  batches.batch_size = config.eval.batch_size;
  for (size_t part = 0; part < history_->latest().size(); ++part) {
    heldout_.push_back(sequential_batches(*part_of_mixture(data.heldout, static_cast<int64_t>(part)),
                                          *base.tokenizer, batches, config_.heldout_examples));
    int64_t targets = 0;
    for (const Batch& batch : heldout_.back()) targets += batch.loss_tokens;
    if (targets == 0)
      throw InputError(BadInput{.key = fmt::format("data.mixture.{}", part),
                                .found = "no held-out tokens",
                                .expected = "some: train.domains looks at their loss"});
  }
}

std::function<std::vector<Batch>()> DomainLoader::step(int64_t step) const {
  return [stream = stream_, history = history_, step] { return stream->batches(step - 1, *history); };
}

bool DomainLoader::is_due(int64_t step) const { return step % config_.every == 0; }

std::string DomainLoader::follow(Decoder& decoder, int64_t step) {
  std::vector<double> losses;
  for (const auto& batches : heldout_) losses.push_back(heldout_loss(decoder, batches, precision_).loss);
  for (const double loss : losses)
    if (!std::isfinite(loss)) return "held-out losses of the mixture's parts that are not finite: shares stay";
  const auto shares = updated_weights(config_.update, history_->latest(), losses, config_.reference_losses);
  auto changed = std::make_shared<ShareHistory>(*history_);
  changed->change(step + 1, shares);  // counted from 0: the second step behind this one
  history_ = changed;
  return fmt::format("held-out losses of the mixture's parts {:.4f}, shares of rows {:.4f}",
                     fmt::join(losses, ", "), fmt::join(shares, ", "));
}

std::string DomainLoader::text() const { return nlohmann::json(history_->rows()).dump(); }

void DomainLoader::restore(const std::string& text, const std::string& file) {
  const auto refuse = [&](const std::string& found) {
    throw InputError(BadInput{.file = file,
                              .key = "shares",
                              .found = found,
                              .expected = fmt::format("steps with the shares of {} parts", heldout_.size())});
  };
  if (text.empty()) refuse("nothing");
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  std::vector<std::vector<double>> rows;
  try {
    rows = json.get<std::vector<std::vector<double>>>();
  } catch (const nlohmann::json::exception&) {
    refuse("something else");
  }
  if (rows.empty()) refuse("no shares");
  for (const auto& row : rows)
    if (row.size() != heldout_.size() + 1) refuse(fmt::format("a row of {} numbers", row.size()));
  history_ = std::make_shared<const ShareHistory>(ShareHistory::from_rows(rows, rows_per_step_));
}

}  // namespace attnlab
