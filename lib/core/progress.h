// Progress of long work: one line that is rewritten on a terminal, plain lines in a log.
#pragma once

#include <chrono>
#include <string>

namespace attnlab {

// Seconds as "42s", "3m05s", "2h07m".
std::string format_duration(double seconds);
// 1234567 as "1.23M", 4096 as "4.10k".
std::string format_count(double value);

// Writes to standard error. On a terminal each update overwrites the line (at most ten a second); elsewhere a
// plain line is written, at most one every `log_interval_s` seconds.
class ProgressLine {
 public:
  explicit ProgressLine(double log_interval_s = 10.0);
  ~ProgressLine();
  // `text` replaces the live line. With force, it is shown however recent the last one is.
  void update(const std::string& text, bool force = false);
  // A line that stays: the live line is cleared first.
  void note(const std::string& text);
  bool on_terminal() const { return terminal_; }
  // Columns of the terminal that a line may take; 119 where that is not known.
  size_t width() const;

 private:
  void clear();
  using Clock = std::chrono::steady_clock;
  bool terminal_;
  double interval_s_;
  bool live_ = false;
  Clock::time_point last_ = Clock::time_point::min();
};

}  // namespace attnlab
