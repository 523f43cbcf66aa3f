#include "sandbox/worker.h"

#include <cmath>

#include "core/errors.h"

namespace attnlab {
namespace {

constexpr size_t kResultBytes = 400;
// How long an examiner may take to notice that its candidate is gone.
constexpr double kGraceSeconds = 1;

Clock::time_point after(double seconds) {
  return Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

CodeVerdict timed_out() { return {Outcome::timed_out, std::string(name_of(Outcome::timed_out))}; }

// What an examiner says, or a failure for what it should not say.
CodeVerdict verdict_from(const Parts& parts) {
  const auto outcome = parts.size() == 2 ? from_name<Outcome>(parts[0]) : std::nullopt;
  if (!outcome) return {Outcome::failed, "failed: the examiner gave no verdict"};
  return {*outcome, valid_utf8(parts[1], kResultBytes)};
}

}  // namespace

Cell& Worker::examiner() {
  if (!examiner_) {
    examiner_ = std::make_unique<Cell>(walls_, "examiner", std::to_string(kChannel));
    examiner_->wait_ready();
  }
  return *examiner_;
}

void Worker::start_spare() {
  if (spare_) return;
  const int cpu_seconds = static_cast<int>(std::ceil(walls_.options.seconds)) + 1;
  const std::string arguments = std::to_string(kChannel) + ", " + std::to_string(walls_.options.processes) +
                                ", " + std::to_string(cpu_seconds);
  spare_ = std::make_unique<Cell>(walls_, "candidate", arguments);
}

void Worker::send(const Parts& task, int descriptor) {
  if (send_parts(examiner().channel().get(), task, descriptor)) return;
  examiner_.reset();
  if (!send_parts(examiner().channel().get(), task, descriptor)) throw RunError("a sandbox takes no programs");
}

std::optional<Parts> Worker::receive(Cell* candidate, double seconds, size_t cap, bool& too_much) {
  const SandboxOptions& options = walls_.options;
  Cell* const watched = candidate ? candidate : examiner_.get();
  auto watch = [&] {
    const TreeUsage usage = watched->usage();
    if (usage.resident_bytes <= options.memory_mib << 20 && usage.threads <= 2 * options.processes) return;
    too_much = true;
    watched->kill_all();
  };
  const int channel = examiner_->channel().get();
  auto answer = receive_parts(channel, after(seconds), cap, watch);
  if (!answer && candidate) {
    candidate->kill_all();
    // Late, so not believed; but the next answer must be that of the next task.
    if (!receive_parts(channel, after(kGraceSeconds), cap)) examiner_.reset();
  }
  return answer;
}

CodeVerdict Worker::judge(const TestedProgram& tested, bool more) {
  start_spare();
  examiner();
  const std::unique_ptr<Cell> candidate = std::move(spare_);
  candidate->wait_ready();
  if (more) start_spare();
  const Clock::time_point start = Clock::now();
  send({"judge", tested.tests, tested.entry_point, tested.program}, candidate->channel().get());
  candidate->channel().reset();
  bool too_much = false;
  const auto answer = receive(candidate.get(), walls_.options.seconds, 1 << 16, too_much);
  CodeVerdict verdict = answer ? verdict_from(*answer) : timed_out();
  if (too_much) verdict = {Outcome::failed, "failed: too much memory, or too many processes"};
  verdict.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return verdict;
}

std::optional<std::string> Worker::transform(const std::string& script, const std::string& input) {
  const size_t cap = static_cast<size_t>(walls_.options.output_kib) << 10;
  examiner();
  send({"transform", script, input, std::to_string(cap)}, -1);
  bool too_much = false;
  const auto answer = receive(nullptr, walls_.options.seconds, cap + 4096, too_much);
  if (!answer) examiner_.reset();
  if (!answer || answer->size() != 2 || (*answer)[0] != "done") return std::nullopt;
  return (*answer)[1];
}

}  // namespace attnlab
