// The processes that work on one run together, and which of them this one is. World::alone() is the only one
// where there is one process: then nothing is sent and nothing waited for.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ranks/collectives.h"
#include "ranks/fault.h"
#include "ranks/place.h"

namespace attnlab {

struct WorldOptions {
  FaultAction on_fault;
  std::chrono::milliseconds deadline{600'000};  // longest that ranks wait for one that makes no progress
  std::chrono::milliseconds beat{500};          // between two signs of life
  std::chrono::milliseconds silence{15'000};    // without one a rank is lost
};

// Deadline and silence of ATTNLAB_RANK_DEADLINE and ATTNLAB_RANK_SILENCE, in seconds, where they are set.
// Throws InputError.
WorldOptions options_from_environment();

class World {
 public:
  static World& alone();
  // Meets the others; `connect` gives a client of the store that they meet in, each with its own connection.
  World(const RankPlace& place, const std::function<StoreHandle()>& connect, const WorldOptions& options);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  int64_t rank() const { return place_.rank; }
  int64_t size() const { return place_.size; }
  int64_t local_rank() const { return place_.local_rank; }
  int64_t local_size() const { return place_.local_size; }
  bool is_alone() const { return place_.size == 1; }
  // Rank 0 owns what a run writes and shows.
  bool is_first() const { return place_.rank == 0; }
  // Each rank's machine; empty where it is alone.
  const std::vector<std::string>& hosts() const { return hosts_; }

  // Rank 0 does it, the others wait. What it throws (Interrupted, InputError, RunError) all throw.
  void first_does(const std::function<void()>& action);
  // The same, and all get the text.
  std::string first_says(const std::function<std::string()>& action);
  // What every rank says, in their order.
  std::vector<std::string> all_say(const std::string& text);
  // Each rank does its part, and all get what each says. What one throws (of what first_does names) all throw.
  std::vector<std::string> all_do(const std::function<std::string()>& action);
  // Throws InputError on all ranks if they don't all say the same, or if two say the same (empty texts aside).
  void require_same(const std::string& what, const std::string& value);
  void require_distinct(const std::string& what, const std::string& value);

  // See Collectives. Alone: at once.
  PendingHandle sum(const torch::Tensor& flat);
  PendingHandle sum_slice(const torch::Tensor& own, const torch::Tensor& flat);
  PendingHandle gather(const torch::Tensor& flat, const torch::Tensor& own);
  torch::Tensor sum_small(const torch::Tensor& values);
  void share(torch::Tensor tensor);

  // A failure of this rank: returns if every rank has one now (and all know how to go on), otherwise ends all.
  void settle(const std::string& cause);
  // Ends all ranks with the line of this one.
  void fail(const std::string& cause);
  // All is done: waits until the others say so, too, so that nobody is taken for lost.
  void leave();
  // Something was done; a rank that says so for longer than the deadline in vain is taken for hung.
  void progress();
  // While it lives this rank waits for others, or for its GPU.
  class Waiting {
   public:
    explicit Waiting(World& world);
    ~Waiting();
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;

   private:
    World& world_;
  };

 private:
  World();
  std::string wait_for(const std::string& key);
  struct Impl;
  RankPlace place_;
  std::vector<std::string> hosts_;
  std::unique_ptr<Impl> impl_;
};

// The world that this process was started in; null: it is alone. Throws InputError, or RunError if the others
// don't come.
std::unique_ptr<World> join_world(const WorldOptions& options);

}  // namespace attnlab
