#include "core/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>

#include "core/fitted_line.h"

namespace attnlab {

std::string format_duration(double seconds) {
  if (!(seconds >= 0) || seconds > 1e8) return "?";
  const auto total = static_cast<long>(seconds + 0.5);
  if (total < 60) return fmt::format("{}s", total);
  if (total < 3600) return fmt::format("{}m{:02}s", total / 60, total % 60);
  return fmt::format("{}h{:02}m", total / 3600, total / 60 % 60);
}

std::string format_count(double value) {
  if (value < 1e3) return fmt::format("{:.0f}", value);
  if (value < 1e6) return fmt::format("{:.2f}k", value / 1e3);
  if (value < 1e9) return fmt::format("{:.2f}M", value / 1e6);
  if (value < 1e12) return fmt::format("{:.2f}G", value / 1e9);
  return fmt::format("{:.2f}T", value / 1e12);
}

ProgressLine::ProgressLine(double log_interval_s)
    : terminal_(isatty(STDERR_FILENO) != 0), interval_s_(terminal_ ? 0.1 : log_interval_s) {}

ProgressLine::~ProgressLine() { clear(); }

void ProgressLine::update(const std::string& text, bool force) {
  const auto now = Clock::now();
  const bool recent =
      last_ != Clock::time_point::min() && std::chrono::duration<double>(now - last_).count() < interval_s_;
  if (recent && !force) return;
  last_ = now;
  if (!terminal_) {
    std::fprintf(stderr, "%s\n", text.c_str());
    return;
  }
  std::fprintf(stderr, "\r\033[2K%s", fitted_line(text, width()).c_str());
  std::fflush(stderr);
  live_ = true;
}

size_t ProgressLine::width() const {
  winsize size{};
  const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
  return known ? size.ws_col - 1U : 119U;
}

void ProgressLine::note(const std::string& text) {
  clear();
  std::fprintf(stderr, "%s\n", text.c_str());
}

void ProgressLine::clear() {
  if (live_) std::fprintf(stderr, "\r\033[2K");
  live_ = false;
}

}  // namespace attnlab
