#include "eval/task_run.h"

#include <chrono>

#include "core/errors.h"
#include "eval/told_findings.h"

namespace attnlab {
namespace {

constexpr int64_t kItemsAtATime = 32;
// Of replies, at each rank: rows stay full but for a round's end, and a kill loses a round of others at most.
constexpr int64_t kBatchesOfARound = 8;

class Run {
 public:
  Run(const TaskModel& model, const TaskData& data, TaskLog& log, Sandbox* sandbox,
      const std::function<void(const TaskProgress&)>& progress, World& world)
      : model_(model), log_(log), sandbox_(sandbox), progress_(progress), world_(world) {
    result_.label = data.config.label();
    result_.data = data;
  }

  TaskResult take() {
    const auto start = std::chrono::steady_clock::now();
    if (!world_.is_alone()) {
      const auto of_first = world_.first_says([&] { return tell_findings(known()); });
      if (!world_.is_first()) log_all(told_findings(of_first));
    }
    switch (data().kind()) {
      case TaskKind::answer:
      case TaskKind::code:
        reply();
        world_.first_does([&] { judge(); });
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

  void log_all(const TaskFindings& findings) {
    for (const auto& [place, text] : findings.replies) log_.add(result_.label, place, text);
    for (const auto& [item, likelihoods] : findings.choices) log_.add(result_.label, item, likelihoods);
    for (const auto& [document, score] : findings.texts) log_.add(result_.label, document, score);
  }

  // `find` looks for this rank's share of a round and logs it; then all log what the others found.
  void share(const std::function<TaskFindings()>& find) {
    const auto told = world_.all_do([&] { return tell_findings(find()); });
    for (size_t rank = 0; rank < told.size(); ++rank)
      if (static_cast<int64_t>(rank) != world_.rank()) log_all(told_findings(told[rank]));
  }

  void reply() {
    const int64_t total = data().size() * data().config.samples;
    std::vector<ReplyPlace> missing;
    for (int64_t sample = 0; sample < data().config.samples; ++sample)
      for (int64_t problem = 0; problem < data().size(); ++problem)
        if (!known().replies.count({problem, sample})) missing.emplace_back(problem, sample);
    tell("replies", static_cast<int64_t>(known().replies.size()), total);
    const auto ranks = static_cast<size_t>(world_.size());
    const auto round = static_cast<size_t>(kBatchesOfARound * model_.batch_rows) * ranks;
    for (size_t first = 0; first < missing.size(); first += world_.is_alone() ? missing.size() : round) {
      const size_t last = world_.is_alone() ? missing.size() : std::min(missing.size(), first + round);
      std::set<ReplyPlace> left;
      for (size_t i = first; i < last; ++i)
        if (static_cast<int64_t>((i - first) % ranks) == world_.rank()) left.insert(missing[i]);
      share([&] { return reply_to(left, total); });
      if (!world_.is_alone()) tell("replies", static_cast<int64_t>(known().replies.size()), total);
    }
    for (const auto& [place, text] : known().replies)
      result_.replies.push_back({static_cast<size_t>(place.first), text});
  }

  TaskFindings reply_to(const std::set<ReplyPlace>& places, int64_t total) {
    std::set<ReplyPlace> others;
    for (int64_t problem = 0; problem < data().size(); ++problem)
      for (int64_t sample = 0; sample < data().config.samples; ++sample)
        if (!places.count({problem, sample})) others.emplace(problem, sample);
    TaskFindings found;
    generate_replies(model_, data(), others, [&](ReplyPlace place, const std::string& text) {
      log_.add(result_.label, place, text);
      if (!world_.is_alone()) found.replies[place] = text;
      tell("replies", static_cast<int64_t>(known().replies.size()), total);
    });
    return found;
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
    std::vector<int64_t> missing;  // the first item of each batch
    for (int64_t first = 0; first < data().size(); first += kItemsAtATime)
      if (!known().choices.count(std::min(data().size(), first + kItemsAtATime) - 1)) missing.push_back(first);
    in_rounds(missing, "items", [&](int64_t first) {
      const int64_t last = std::min(data().size(), first + kItemsAtATime);
      const auto likelihoods = choice_likelihoods(model_, data(), first, last);
      TaskFindings found;
      for (int64_t i = first; i < last; ++i) found.choices[i] = likelihoods[static_cast<size_t>(i - first)];
      return found;
    });
    tell("items", data().size(), data().size());
    for (const auto& [item, likelihoods] : known().choices) result_.choices.push_back(likelihoods);
  }

  // Of a single document the windows are counted.
  void read() {
    std::vector<int64_t> missing;
    for (int64_t i = 0; i < data().size(); ++i)
      if (!known().texts.count(i)) missing.push_back(i);
    in_rounds(missing, "documents", [&](int64_t i) {
      const auto hear = [&](int64_t done, int64_t windows) {
        if (data().size() == 1)
          tell("windows", done, windows);
        else
          tell("documents", static_cast<int64_t>(known().texts.size()), data().size());
      };
      TaskFindings found;
      found.texts[i] = text_score(model_, data().texts[static_cast<size_t>(i)], hear);
      return found;
    });
    tell("documents", data().size(), data().size());
    for (const auto& [document, score] : known().texts) result_.texts.push_back(score);
  }

  // Each rank takes one of `missing` in a round.
  void in_rounds(const std::vector<int64_t>& missing, const char* what,
                 const std::function<TaskFindings(int64_t)>& find) {
    const auto ranks = static_cast<size_t>(world_.size()), rank = static_cast<size_t>(world_.rank());
    for (size_t first = 0; first < missing.size(); first += ranks) {
      share([&] {
        if (first + rank >= missing.size()) return TaskFindings();
        TaskFindings found = find(missing[first + rank]);
        log_all(found);
        return found;
      });
      const auto done = static_cast<int64_t>(known().choices.size() + known().texts.size());
      if (first + ranks < missing.size()) tell(what, done, data().size());
    }
  }

  const TaskModel& model_;
  TaskLog& log_;
  Sandbox* sandbox_;
  const std::function<void(const TaskProgress&)>& progress_;
  World& world_;
  TaskResult result_;
};

}  // namespace

TaskResult run_task(const TaskModel& model, const TaskData& data, TaskLog& log, Sandbox* sandbox,
                    const std::function<void(const TaskProgress&)>& progress, World& world) {
  ATTNLAB_CHECK(sandbox || data.kind() != TaskKind::code || !world.is_first());
  return Run(model, data, log, sandbox, progress, world).take();
}

}  // namespace attnlab
