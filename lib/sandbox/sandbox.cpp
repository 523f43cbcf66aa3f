#include "sandbox/sandbox.h"

#include <signal.h>

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#include "core/cores.h"
#include "core/errors.h"
#include "sandbox/worker.h"

namespace attnlab {
namespace {

// Tasks 0 … n-1, taken by threads that have a worker each.
class Crew {
 public:
  using Task = std::function<void(Worker&, size_t index, bool more)>;

  Crew(const Walls& walls, size_t tasks, Task task) : walls_(walls), tasks_(tasks), task_(std::move(task)) {
    const size_t cores = static_cast<size_t>(usable_cores());
    const auto wanted = static_cast<size_t>(walls.options.workers);
    workers_ = std::min(tasks, wanted > 0 ? wanted : cores);
  }

  // What is being judged is still finished; it has a time limit.
  ~Crew() {
    {
      const std::lock_guard lock(mutex_);
      next_ = tasks_;
    }
    for (std::thread& thread : threads_) thread.join();
  }

  // Until all are finished, or one has failed: then it throws what that one threw.
  void run(const std::function<void(int64_t)>& done) {
    start();
    for (size_t told = 0; told < tasks_;) {
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return finished_ > told || failure_; });
        if (failure_) std::rethrow_exception(failure_);
        told = finished_;
      }
      if (done) done(static_cast<int64_t>(told));
    }
  }

 private:
  void start() {
    // Signals are for the threads that the caller made.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (size_t i = 0; i < workers_; ++i) threads_.emplace_back([this] { work(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  void work() {
    try {
      Worker worker(walls_);
      for (;;) {
        const auto [index, more] = take();
        if (index >= tasks_) return;
        task_(worker, index, more);
        const std::lock_guard lock(mutex_);
        ++finished_;
        changed_.notify_one();
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      next_ = tasks_;
      changed_.notify_one();
    }
  }

  // The next task, and whether this worker may expect another one after it.
  std::pair<size_t, bool> take() {
    const std::lock_guard lock(mutex_);
    if (next_ >= tasks_) return {tasks_, false};
    const size_t index = next_++;
    return {index, next_ + workers_ <= tasks_ + 1};
  }

  const Walls& walls_;
  const size_t tasks_;
  const Task task_;
  size_t workers_;
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t next_ = 0, finished_ = 0;
  std::exception_ptr failure_;
  std::vector<std::thread> threads_;
};

}  // namespace

std::optional<std::string> Sandbox::unavailable(const SandboxOptions& options) {
  try {
    build_walls(options);
    return std::nullopt;
  } catch (const RunError& error) {
    return error.what();
  }
}

Sandbox::Sandbox(SandboxOptions options) {
  ATTNLAB_CHECK(options.seconds > 0 && options.memory_mib > 0 && options.disk_mib > 0 && options.processes > 0);
  try {
    walls_ = std::make_unique<Walls>(build_walls(options));
  } catch (const RunError& error) {
    throw RunError(std::string("no sandbox for programs that a model wrote: ") + error.what());
  }
}

Sandbox::~Sandbox() = default;

std::vector<CodeVerdict> Sandbox::judge(const std::vector<TestedProgram>& programs,
                                        const std::function<void(int64_t)>& done) {
  std::vector<CodeVerdict> verdicts(programs.size());
  Crew crew(*walls_, programs.size(), [&](Worker& worker, size_t index, bool more) {
    verdicts[index] = worker.judge(programs[index], more);
  });
  crew.run(done);
  return verdicts;
}

std::vector<std::optional<std::string>> Sandbox::transform(const std::string& script,
                                                           const std::vector<std::string>& inputs) {
  std::vector<std::optional<std::string>> outputs(inputs.size());
  Crew crew(*walls_, inputs.size(), [&](Worker& worker, size_t index, bool) {
    outputs[index] = worker.transform(script, inputs[index]);
  });
  crew.run({});
  return outputs;
}

}  // namespace attnlab
