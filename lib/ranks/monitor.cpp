#include "ranks/monitor.h"

#include <fmt/format.h>

#include <sstream>

namespace attnlab {
namespace {

std::string beat_key(int64_t rank) { return fmt::format("beat/{}", rank); }

}  // namespace

bool write_fault(c10d::Store& store, const std::string& line) {
  if (store.add("faults", 1) != 1) return false;
  store.set(kFaultKey, line);
  return true;
}

Monitor::Monitor(const RankPlace& place, const std::vector<std::string>& hosts, StoreHandle store,
                 const WorldOptions& options)
    : place_(place), hosts_(hosts), store_(std::move(store)), options_(options) {
  store_->set(beat_key(place_.rank), std::string("0 0 0"));
  if (place_.rank != 0) seen_[0] = {};
  for (int64_t r = 1; place_.rank == 0 && r < place_.size; ++r) seen_[r] = {};
  thread_ = std::thread([this] { run(); });
}

Monitor::~Monitor() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Monitor::fault(int64_t rank, const std::string& cause) {
  const std::string line = fault_line(rank, hosts_[static_cast<size_t>(rank)], cause);
  bool tell = true;
  try {
    const std::lock_guard lock(store_mutex_);
    tell = write_fault(*store_, line);
  } catch (const std::exception&) {
    store_is_gone();
  }
  options_.on_fault(line, tell);
}

// Nobody else can be told: all that look see it, and the first of them tells.
void Monitor::store_is_gone() {
  options_.on_fault(fault_line(0, hosts_[0], "ended, and with it the store that ranks meet in"),
                    place_.rank == 1);
}

void Monitor::run() {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, options_.beat, [this] { return ends_; })) {
    lock.unlock();
    try {
      look();
    } catch (const std::exception&) {  // the store is gone, and with it who hosts it
      bool ends = false;
      {
        const std::lock_guard again(mutex_);
        ends = ends_;
      }
      if (!ends) store_is_gone();
    }
    lock.lock();
  }
}

void Monitor::look() {
  const std::lock_guard lock(store_mutex_);
  look_for_fault();
  store_->set(beat_key(place_.rank),
              fmt::format("{} {} {}", ++beats_, steps.load(), waiting.load() > 0 ? 1 : 0));
  for (const auto& [rank, seen] : seen_)
    if (rank != place_.rank) look_at(rank);
  if (place_.rank == 0) look_for_hung();
}

void Monitor::look_for_fault() {
  if (!store_->check({kFaultKey})) return;
  options_.on_fault(store_->get_to_str(kFaultKey), false);
}

void Monitor::look_at(int64_t rank) {
  Seen& seen = seen_[rank];
  const auto now = Clock::now();
  if (store_->check({beat_key(rank)})) {
    const std::string text = store_->get_to_str(beat_key(rank));
    std::istringstream in(text);
    std::string beat, made;
    int waits = 0;
    in >> beat >> made >> waits;
    if (beat != seen.beat) seen.beat_at = now;
    if (made != seen.steps) seen.steps_at = now;
    seen.beat = beat;
    seen.steps = made;
    seen.waits = waits != 0;
  }
  if (now - seen.beat_at <= options_.silence) return;
  const double seconds = std::chrono::duration<double>(options_.silence).count();
  const std::string line =
      fault_line(rank, hosts_[static_cast<size_t>(rank)], fmt::format("no sign of life for {:.0f} s", seconds));
  options_.on_fault(line, write_fault(*store_, line));
}

// Who waits for others has not hung, as long as somebody does not wait.
void Monitor::look_for_hung() {
  Seen& own = seen_[0];
  const std::string now_at = fmt::format("{}", steps.load());
  if (own.steps != now_at) own.steps_at = Clock::now();
  own.steps = now_at;
  own.beat_at = Clock::now();
  own.waits = waiting.load() > 0;
  std::optional<int64_t> hung;
  bool somebody_waits = false;
  for (const auto& [rank, seen] : seen_) {
    const bool stands = Clock::now() - seen.steps_at > options_.deadline;
    if (!stands) return;
    somebody_waits |= seen.waits;
    if (!seen.waits && !hung) hung = rank;
  }
  if (!somebody_waits) return;
  const double seconds = std::chrono::duration<double>(options_.deadline).count();
  const auto rank = static_cast<size_t>(hung.value_or(0));
  const std::string line =
      fault_line(static_cast<int64_t>(rank), hosts_[rank],
                 hung ? fmt::format("no progress for {:.0f} s, and others wait for it", seconds)
                      : fmt::format("all ranks wait for each other for {:.0f} s", seconds));
  options_.on_fault(line, write_fault(*store_, line));
}

}  // namespace attnlab
