#include "report/disagreements.h"

#include <algorithm>
#include <map>
#include <set>

#include "report/curve_data.h"
#include "results/archive.h"
#include "results/evaluation_file.h"

namespace attnlab::report {
namespace {

struct Asked {
  std::string problem, prompt, gold;
  ArmReply reply;
};
using Answers = std::map<int64_t, Asked>;        // of one run, by number of the problem
using Sources = std::map<std::string, Answers>;  // of one run

Answers own_problems(const RunRecord& run) {
  Answers answers;
  if (run.evaluations.empty()) return answers;
  for (const auto& row : run.problems)
    if (row.step == run.evaluations.back().step)
      answers[row.index] = {.problem = std::to_string(row.index),
                            .prompt = row.prompt,
                            .gold = row.gold,
                            .reply = {run.header.arm, row.output, row.extracted, row.correct != 0}};
  return answers;
}

// The first reply to each problem.
Answers task_answers(const RunRecord& run, const TaskRecord& task,
                     const std::vector<JudgementRow>& judgements) {
  std::map<int64_t, const ReplyRow*> replies;
  for (const auto& row : task.replies)
    if (row.sample == 0) replies[row.problem] = &row;
  Answers answers;
  for (const auto& row : judgements)
    if (const auto reply = replies.find(row.problem); row.sample == 0 && reply != replies.end())
      answers[row.problem] = {.problem = reply->second->id,
                              .reply = {run.header.arm, reply->second->text, row.extracted, row.correct != 0}};
  return answers;
}

Sources sources_of(const RunRecord& run) {
  Sources sources;
  sources["problems of the runs"] = own_problems(run);
  const auto file = tasks_file(run.path, run.last_step);
  if (run.state != RunState::complete || !result_exists(file)) return sources;
  for (const auto& task : read_evaluation(file).tasks)
    for (const auto& [protocol, judgements] : task.judgements)
      sources[task.label + ", " + protocol] = task_answers(run, task, judgements);
  return sources;
}

// Everything that differs, by arm and by who is right.
class Collector {
 public:
  explicit Collector(Disagreements& out) : out_(out) {}

  void add(const PointRuns& point) {
    std::map<int64_t, std::vector<Sources>> by_seed;  // of the arms that have the seed, the first's first
    for (const auto& arm : point.arms)
      for (const RunRecord* run : arm.runs) by_seed[run->header.seed].push_back(sources_of(*run));
    for (const auto& [seed, arms] : by_seed)
      if (std::any_of(point.arms.front().runs.begin(), point.arms.front().runs.end(),
                      [&, wanted = seed](const RunRecord* run) { return run->header.seed == wanted; }))
        for (const auto& [source, answers] : arms.front()) add(point, seed, source, arms);
  }

  void choose(size_t most) {
    std::set<size_t> taken;
    std::map<Kind, std::vector<size_t>> queues;
    for (auto& [kind, places] : kinds_) queues[kind] = in_spread_order(places);
    for (bool any = true; any && taken.size() < most;) {
      any = false;
      for (auto& [kind, queue] : queues) {
        while (!queue.empty() && taken.contains(queue.back())) queue.pop_back();
        if (queue.empty() || taken.size() == most) continue;
        taken.insert(queue.back());
        any = true;
      }
    }
    for (const size_t place : taken) out_.samples.push_back(std::move(found_[place]));
  }

 private:
  using Kind = std::pair<std::string, bool>;  // which arm, and whether it is the one that is right

  void add(const PointRuns& point, int64_t seed, const std::string& source, const std::vector<Sources>& arms) {
    for (const auto& [number, asked] : arms.front().at(source)) {
      Sample sample{source, point.sweep_point, seed, asked.problem, asked.prompt, asked.gold, {asked.reply}};
      std::set<Kind> kinds;
      for (size_t i = 1; i < arms.size(); ++i) {
        const auto answers = arms[i].find(source);
        if (answers == arms[i].end()) continue;
        const auto other = answers->second.find(number);
        // The same number may be another problem where the arms' data differ.
        if (other == answers->second.end() || other->second.prompt != asked.prompt) continue;
        sample.replies.push_back(other->second.reply);
        if (count(point, source, asked.reply, other->second.reply))
          kinds.emplace(other->second.reply.arm, other->second.reply.correct);
      }
      if (kinds.empty() || !has_texts(sample)) continue;
      for (const auto& kind : kinds) kinds_[kind].push_back(found_.size());
      found_.push_back(std::move(sample));
    }
  }

  // An archive may hold how replies were judged without their texts.
  static bool has_texts(const Sample& sample) {
    return std::any_of(sample.replies.begin(), sample.replies.end(),
                       [](const ArmReply& reply) { return !reply.text.empty(); });
  }

  // True if just one of both is right.
  bool count(const PointRuns& point, const std::string& source, const ArmReply& first, const ArmReply& other) {
    auto row = std::find_if(out_.counts.begin(), out_.counts.end(), [&](const DisagreementCount& known) {
      return known.source == source && known.sweep_point == point.sweep_point && known.arm == other.arm;
    });
    if (row == out_.counts.end())
      row = out_.counts.insert(row, {.source = source, .sweep_point = point.sweep_point, .arm = other.arm});
    ++row->asked;
    row->only_first += first.correct && !other.correct;
    row->only_arm += other.correct && !first.correct;
    return first.correct != other.correct;
  }

  // So that the last ones, which are taken first, lie far apart: every 7th, then those between.
  static std::vector<size_t> in_spread_order(const std::vector<size_t>& places) {
    std::vector<size_t> order;
    for (size_t start = 0; start < 7; ++start)
      for (size_t i = start; i < places.size(); i += 7) order.push_back(places[i]);
    std::reverse(order.begin(), order.end());
    return order;
  }

  Disagreements& out_;
  std::vector<Sample> found_;
  std::map<Kind, std::vector<size_t>> kinds_;  // places in found_
};

}  // namespace

Disagreements find_disagreements(const Experiment& experiment, size_t most) {
  Disagreements out;
  if (experiment.points.empty()) return out;
  out.first = experiment.points.front().arms.front().arm;
  Collector collector(out);
  for (const auto& point : experiment.points) collector.add(point);
  collector.choose(most);
  return out;
}

}  // namespace attnlab::report
