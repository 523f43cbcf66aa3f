#include "experiment/run/reporter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "core/cores.h"
#include "experiment/run/worker_screen.h"

namespace attnlab {

std::string run_name(const PlannedRun& run) {
  return fmt::format("{}{}{} seed {}", run.config.arm.name, run.sweep_point.empty() ? "" : " ", run.sweep_point,
                     run.config.seed);
}

void Reporter::begin(size_t place, const PlannedRun& run, int64_t step) {
  place_ = place;
  name_ = run_name(run);
  at_ = step;
  last_ = run.config.train.steps;
  steps_left_ -= step;
  resumed_ += step;
  time_.begin(elapsed(), step);
  if (step > 0) note(fmt::format("{}: going on at step {} of {}", prefix(), step, last_));
}

std::string Reporter::prefix() const { return fmt::format("[{}/{}] {}", place_ + 1, runs_, name_); }

double Reporter::elapsed() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

void Reporter::show(const std::string& text, bool force, const std::string& left) {
  if (silent_) return;
  if (!worker_) return line_.update(text + (left.empty() ? "" : ", all " + left), force);
  const auto now = Clock::now();
  const bool recent =
      shown_ != Clock::time_point::min() && std::chrono::duration<double>(now - shown_).count() < 0.5;
  if (recent && !force) return;
  shown_ = now;
  std::fputs(worker_line({.done = time_.steps(), .resumed = resumed_, .text = text}).c_str(), stderr);
}

void Reporter::tell_starvation() {
  if (silent_ || starved_ || elapsed() - looked_at_ < 20) return;  // it reads a file of each thread
  looked_at_ = elapsed();
  const std::string note = starvation_note(cpu_use());
  starved_ = !note.empty();
  if (starved_) line_.note("note: " + note);
}

void Reporter::step(int64_t step, double loss, double tokens_per_second) {
  const bool first = time_.steps() == 0;
  steps_left_ -= step - at_;
  at_ = step;
  time_.step(elapsed(), step);
  show(fmt::format("{}: step {}/{}, loss {:.4f}, {} tokens/s, ETA {}", prefix(), step, last_, loss,
                   format_count(tokens_per_second), format_duration(time_.of_run(last_ - step))),
       step == last_ || first,
       format_duration(time_.of_all(steps_left_, steps_left_ / std::max<int64_t>(last_, 1))));
  tell_starvation();
}

void Reporter::evaluating(int64_t step, int64_t answered, int64_t problems) {
  show(fmt::format("{}: step {}/{}, {}/{} problems answered", prefix(), step, last_, answered, problems),
       false);
}

void Reporter::asking(int64_t step, const std::string& task, const std::string& what, int64_t done,
                      int64_t total) {
  show(fmt::format("{}: step {}/{}, {}: {} of {} {}", prefix(), step, last_, task, done, total, what), false);
}

void Reporter::evaluated(int64_t step, double heldout_loss, double accuracy, int64_t problems) {
  std::string text = fmt::format("{}: step {}/{}, held-out loss {:.4f}", prefix(), step, last_, heldout_loss);
  if (problems > 0) text += fmt::format(", accuracy {:.1f} % of {}", 100 * accuracy, problems);
  note(text);
}

}  // namespace attnlab
