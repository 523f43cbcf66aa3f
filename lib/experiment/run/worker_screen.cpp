#include "experiment/run/worker_screen.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <sstream>

#include "core/fitted_line.h"
#include "core/names.h"

namespace attnlab {
namespace {

constexpr char kMark = '\x1e';  // ASCII's record separator: no text of ours begins with it
constexpr double kLogInterval_s = 10;

std::optional<WorkerProgress> parse_line(const std::string& line) {
  if (!line.starts_with(kMark)) return std::nullopt;
  std::istringstream in(line.substr(1));
  WorkerProgress progress;
  if (!(in >> progress.done >> progress.resumed)) return std::nullopt;
  in.get();
  std::getline(in, progress.text);
  return progress;
}

}  // namespace

std::string worker_line(const WorkerProgress& progress) {
  return fmt::format("{}{} {} {}\n", kMark, progress.done, progress.resumed, progress.text);
}

std::string side_by_side(const std::vector<std::string>& texts, size_t width) {
  const size_t n = texts.size(), between = 3 * (n > 0 ? n - 1 : 0);
  const size_t each = n > 0 && width > between ? (width - between) / n : 0;
  std::vector<std::string> parts;
  for (const auto& text : texts) parts.push_back(fitted_line(text, each));
  return join(parts, " | ");
}

WorkerScreen::WorkerScreen(size_t workers, int64_t steps) : workers_(workers), steps_(steps) {}

void WorkerScreen::hear(size_t worker, const std::string& bytes) {
  std::string& begun = workers_[worker].begun;
  begun += bytes;
  for (size_t end = begun.find('\n'); end != std::string::npos; end = begun.find('\n')) {
    const std::string line = begun.substr(0, end);
    begun.erase(0, end + 1);
    take_line(worker, line);
  }
}

void WorkerScreen::end(size_t worker) {
  if (!workers_[worker].begun.empty()) hear(worker, "\n");
  workers_[worker].progress.text.clear();
}

void WorkerScreen::take_line(size_t worker, const std::string& line) {
  if (auto progress = parse_line(line)) {
    workers_[worker].progress = std::move(*progress);
    show(worker);
  } else {
    line_.note(line);
  }
}

std::string WorkerScreen::all_left() {
  int64_t done = 0, behind = 0;
  for (const auto& worker : workers_) {
    done += worker.progress.done;
    behind += worker.progress.done + worker.progress.resumed;
  }
  if (first_ == 0) {
    first_ = done;
    start_ = Clock::now();
  }
  if (done == first_) return "";
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  const auto left = static_cast<double>(std::max<int64_t>(steps_ - behind, 0));
  return fmt::format("all {}", format_duration(seconds / static_cast<double>(done - first_) * left));
}

void WorkerScreen::show(size_t worker) {
  const std::string left = all_left();
  if (!line_.on_terminal()) {
    Worker& own = workers_[worker];
    const auto now = Clock::now();
    const bool recent = own.shown != Clock::time_point::min() &&
                        std::chrono::duration<double>(now - own.shown).count() < kLogInterval_s;
    if (recent) return;
    own.shown = now;
    return line_.note(own.progress.text + (left.empty() ? "" : ", " + left));
  }
  std::vector<std::string> texts;
  for (const auto& each : workers_)
    if (!each.progress.text.empty()) texts.push_back(each.progress.text);
  const size_t width = line_.width(), taken = left.empty() ? 0 : left.size() + 3;
  line_.update(side_by_side(texts, width > taken ? width - taken : 0) + (left.empty() ? "" : " | " + left),
               true);
}

}  // namespace attnlab
