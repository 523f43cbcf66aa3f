#include "compare/training_effect.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "compare/answers.h"
#include "core/errors.h"
#include "core/find_field.h"

namespace attnlab {
namespace {

struct BeforeAfter {
  std::vector<double> before, after;
  double mean_before() const { return mean_and_error(before).mean; }
  double mean_after() const { return mean_and_error(after).mean; }
};

const EvaluationRow* untrained(const RunRecord& run) {
  const bool has = run.evaluations.size() > 1 && run.evaluations.front().step == 0;
  return has ? &run.evaluations.front() : nullptr;
}

bool loss_rose(const BeforeAfter& losses, double confidence) {
  if (!(losses.mean_after() > losses.mean_before())) return false;
  // The base and the held-out examples are the same: what happened in every run is told, however few they are.
  bool in_all = true;
  for (size_t i = 0; i < losses.before.size(); ++i) in_all = in_all && losses.after[i] > losses.before[i];
  return in_all || paired_difference(losses.after, losses.before, confidence).difference.low > 0;
}

std::string loss_part(const RunsBySeed& runs, double confidence) {
  BeforeAfter losses;
  for (const auto& [seed, run] : runs) {
    const EvaluationRow* row = untrained(*run);
    if (!row || row->heldout_tokens == 0) continue;
    losses.before.push_back(row->heldout_loss);
    losses.after.push_back(run->evaluations.back().heldout_loss);
  }
  if (!loss_rose(losses, confidence)) return "";
  return fmt::format("held-out loss {:.4f} before, {:.4f} after", losses.mean_before(), losses.mean_after());
}

std::string accuracy_part(const RunsBySeed& runs, double confidence) {
  BeforeAfter shares;
  AnswersBySeed before, after;
  for (const auto& [seed, run] : runs) {
    const EvaluationRow* row = untrained(*run);
    if (!row || row->problems == 0) continue;
    shares.before.push_back(row->accuracy);
    shares.after.push_back(run->evaluations.back().accuracy);
    before[seed] = answers_at(*run, 0);
    after[seed] = last_answers(*run);
  }
  if (!(difference_in_right(after, before, confidence).found.difference.high < 0)) return "";
  return fmt::format("accuracy {:.2f} % before, {:.2f} % after", 100 * shares.mean_before(),
                     100 * shares.mean_after());
}

}  // namespace

std::string worse_than_before(const std::string& arm, const RunsBySeed& runs, double confidence) {
  std::vector<std::string> parts{accuracy_part(runs, confidence), loss_part(runs, confidence)};
  std::erase(parts, "");
  if (parts.empty()) return "";
  const auto* rate = find_field<double>(runs.begin()->second->header.config, "train.lr");
  return fmt::format("{} ends worse than before training: {}{}", arm, join(parts, "; "),
                     rate ? fmt::format(" (train.lr {})", *rate) : "");
}

std::string best_rate_at_edge(const std::string& arm, const std::vector<const RunRecord*>& one_per_point,
                              const RunRecord& best) {
  const std::string key = "train.lr";
  std::set<double> rates;
  for (const RunRecord* run : one_per_point)
    if (const auto* rate = find_field<double>(run->header.config, key);
        rate && run->header.sweep_point.find(key + "=") != std::string::npos)
      rates.insert(*rate);
  const auto* chosen = find_field<double>(best.header.config, key);
  if (!chosen || rates.size() < 2 || (*chosen != *rates.begin() && *chosen != *rates.rbegin())) return "";
  return fmt::format("{}: its best {}, {}, is the {} of the sweep; a {} one may be better", arm, key, *chosen,
                     *chosen == *rates.begin() ? "lowest" : "highest",
                     *chosen == *rates.begin() ? "lower" : "higher");
}

}  // namespace attnlab
