// Signs of life of each rank, and who looks at them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "ranks/world.h"

namespace attnlab {

// A thread that tells the others that this process lives and how far it is, and ends it when one of them is
// lost. Rank 0 looks at all, the others at rank 0.
class Monitor {
 public:
  Monitor(const RankPlace& place, const std::vector<std::string>& hosts, StoreHandle store,
          const WorldOptions& options);
  ~Monitor();

  std::atomic<int64_t> steps{0};  // of progress
  std::atomic<int64_t> waiting{0};

  // Writes the fault down where all look for it; the first one counts. Ends this process.
  void fault(int64_t rank, const std::string& cause);

 private:
  using Clock = std::chrono::steady_clock;
  struct Seen {
    std::string beat, steps;
    bool waits = false;
    Clock::time_point beat_at = Clock::now(), steps_at = Clock::now();
  };
  void run();
  void store_is_gone();
  void look();
  void look_at(int64_t rank);
  void look_for_hung();
  void look_for_fault();

  const RankPlace place_;
  const std::vector<std::string> hosts_;
  const StoreHandle store_;
  const WorldOptions options_;
  std::map<int64_t, Seen> seen_;
  int64_t beats_ = 0;
  std::mutex store_mutex_, mutex_;
  std::condition_variable changed_;
  bool ends_ = false;
  std::thread thread_;
};

// Where a world's fault is written.
inline constexpr const char* kFaultKey = "fault";

// Writes the line there unless there is one. True: this one was the first.
bool write_fault(c10d::Store& store, const std::string& line);

}  // namespace attnlab
