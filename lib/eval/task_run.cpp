#include "eval/task_run.h"

#include <chrono>

#include "core/errors.h"

namespace attnlab {
namespace {

constexpr int64_t kItemsAtATime = 32;

class Run {
 public:
  Run(const TaskModel& model, const TaskData& data, TaskLog& log, Sandbox* sandbox,
      const std::function<void(const TaskProgress&)>& progress)
      : model_(model), log_(log), sandbox_(sandbox), progress_(progress) {
    result_.label = data.config.label();
    result_.data = data;
  }

  TaskResult take() {
    const auto start = std::chrono::steady_clock::now();
    switch (data().kind()) {
      case TaskKind::answer:
      case TaskKind::code:
        reply();
        judge();
        break;
      case TaskKind::choice:
        choose();
        break;
      case TaskKind::perplexity:
        read();
        break;
    }
    result_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return std::move(result_);
  }

 private:
  const TaskData& data() const { return result_.data; }
  const TaskFindings& known() { return log_.of(result_.label); }
  void tell(const char* what, int64_t done, int64_t total) const {
    if (progress_) progress_({result_.label, what, done, total});
  }

  void reply() {
    const int64_t total = data().size() * data().config.samples;
    std::set<ReplyPlace> have;
    for (const auto& [place, text] : known().replies) have.insert(place);
    auto done = static_cast<int64_t>(have.size());
    tell("replies", done, total);
    generate_replies(model_, data(), have, [&](ReplyPlace place, const std::string& text) {
      log_.add(result_.label, place, text);
      tell("replies", ++done, total);
    });
    for (const auto& [place, text] : known().replies)
      result_.replies.push_back({static_cast<size_t>(place.first), text});
  }

  void judge() {
    const auto programs = static_cast<int64_t>(result_.replies.size() * data().protocols.size());
    int64_t before = 0;
    for (const Protocol protocol : data().protocols) {
      const auto& preset = preset_of(data().config.task, protocol);
      result_.judged.push_back(score(preset, data().problems, result_.replies, sandbox_, [&](int64_t done) {
        if (data().kind() == TaskKind::code) tell("programs", before + done, programs);
      }));
      before += static_cast<int64_t>(result_.replies.size());
    }
  }

  void choose() {
    for (int64_t first = 0; first < data().size(); first += kItemsAtATime) {
      const int64_t last = std::min(data().size(), first + kItemsAtATime);
      if (!known().choices.count(last - 1)) {
        const auto found = choice_likelihoods(model_, data(), first, last);
        for (int64_t i = first; i < last; ++i)
          log_.add(result_.label, i, found[static_cast<size_t>(i - first)]);
      }
      tell("items", last, data().size());
    }
    for (const auto& [item, likelihoods] : known().choices) result_.choices.push_back(likelihoods);
  }

  // Of a single document the windows are counted.
  void read() {
    for (int64_t i = 0; i < data().size(); ++i) {
      const auto hear = [&](int64_t done, int64_t windows) {
        if (data().size() == 1)
          tell("windows", done, windows);
        else
          tell("documents", i, data().size());
      };
      if (!known().texts.count(i))
        log_.add(result_.label, i, text_score(model_, data().texts[static_cast<size_t>(i)], hear));
    }
    tell("documents", data().size(), data().size());
    for (const auto& [document, score] : known().texts) result_.texts.push_back(score);
  }

  const TaskModel& model_;
  TaskLog& log_;
  Sandbox* sandbox_;
  const std::function<void(const TaskProgress&)>& progress_;
  TaskResult result_;
};

}  // namespace

TaskResult run_task(const TaskModel& model, const TaskData& data, TaskLog& log, Sandbox* sandbox,
                    const std::function<void(const TaskProgress&)>& progress) {
  ATTNLAB_CHECK(sandbox || data.kind() != TaskKind::code);
  return Run(model, data, log, sandbox, progress).take();
}

}  // namespace attnlab
