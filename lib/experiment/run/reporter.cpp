#include "experiment/run/reporter.h"

#include <fmt/format.h>

#include "core/cores.h"

namespace attnlab {

std::string run_name(const PlannedRun& run) {
  return fmt::format("{}{}{} seed {}", run.config.arm.name, run.sweep_point.empty() ? "" : " ", run.sweep_point,
                     run.config.seed);
}

void Reporter::begin(size_t place, const PlannedRun& run, int64_t step) {
  place_ = place;
  name_ = run_name(run);
  first_ = at_ = step;
  last_ = run.config.train.steps;
  steps_left_ -= step;
  if (step > 0) line_.note(fmt::format("{}: going on at step {} of {}", prefix(), step, last_));
}

std::string Reporter::prefix() const { return fmt::format("[{}/{}] {}", place_ + 1, runs_, name_); }

double Reporter::elapsed() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

void Reporter::step(int64_t step, double loss, double tokens_per_second) {
  done_ += step - at_;
  steps_left_ -= step - at_;
  at_ = step;
  const double per_step = elapsed() / static_cast<double>(std::max<int64_t>(done_, 1));
  line_.update(fmt::format("{}: step {}/{}, loss {:.4f}, {} tokens/s, ETA {}, all {}", prefix(), step, last_,
                           loss, format_count(tokens_per_second),
                           format_duration(per_step * static_cast<double>(last_ - step)),
                           format_duration(per_step * static_cast<double>(steps_left_))),
               step == last_ || done_ == 1);
  if (starved_ || elapsed() < 20) return;
  const std::string note = starvation_note(cpu_use());
  starved_ = !note.empty();
  if (starved_) line_.note("note: " + note);
}

void Reporter::evaluating(int64_t step, int64_t answered, int64_t problems) {
  line_.update(
      fmt::format("{}: step {}/{}, {}/{} problems answered", prefix(), step, last_, answered, problems));
}

void Reporter::asking(int64_t step, const std::string& task, const std::string& what, int64_t done,
                      int64_t total) {
  line_.update(fmt::format("{}: step {}/{}, {}: {} of {} {}", prefix(), step, last_, task, done, total, what));
}

void Reporter::evaluated(int64_t step, double heldout_loss, double accuracy, int64_t problems) {
  std::string text = fmt::format("{}: step {}/{}, held-out loss {:.4f}", prefix(), step, last_, heldout_loss);
  if (problems > 0) text += fmt::format(", accuracy {:.1f} % of {}", 100 * accuracy, problems);
  line_.note(text);
}

}  // namespace attnlab
