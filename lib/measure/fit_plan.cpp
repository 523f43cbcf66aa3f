#include "measure/fit_plan.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

namespace attnlab {
namespace {

// Rates are chosen on this seed. Results have seeds from 1 on.
constexpr int64_t kRateSeed = 1'000'003;

// One fit of one student.
struct Job {
  size_t pair = 0;
  int64_t seed = 0, start = 0;
  double rate = 0;
  std::vector<FitPoint> points;
};

// Counts steps over all threads.
class SharedProgress {
 public:
  SharedProgress(std::string what, int64_t of, const FitProgress& progress)
      : what_(std::move(what)), of_(of), progress_(progress) {}
  void operator()() {
    const std::scoped_lock lock(mutex_);
    progress_(what_, ++done_, of_);
  }

 private:
  std::mutex mutex_;
  std::string what_;
  int64_t done_ = 0, of_;
  const FitProgress& progress_;
};

void run_job(Job& job, const FitPair& pair, const FitSetting& setting, const std::function<void()>& tick) {
  const auto seed = static_cast<uint64_t>(job.seed);
  const auto teacher = random_layer(setting, pair.teacher, seed, "teacher");
  if (pair.converted) {
    const auto student = converted_layer(setting, *teacher);
    job.points = {{0, relative_error(setting, *teacher, *student, seed)}};
    return;
  }
  const auto student = random_layer(setting, pair.student, seed, fmt::format("student {}", job.start));
  job.points = fit(setting, *teacher, *student, job.rate, seed, tick);
}

// The first error of any thread is thrown again when all have ended.
void run_jobs(std::vector<Job>& jobs, const std::vector<FitPair>& pairs, const FitOptions& o,
              const std::function<void()>& tick) {
  at::set_num_threads(1);
  std::atomic<size_t> next = 0;
  std::exception_ptr error;
  std::mutex error_mutex;
  const auto work = [&] {
    try {
      for (size_t i = next++; i < jobs.size(); i = next++)
        run_job(jobs[i], pairs[jobs[i].pair], o.setting, tick);
    } catch (...) {
      next = jobs.size();
      const std::scoped_lock lock(error_mutex);
      if (!error) error = std::current_exception();
    }
  };
  std::vector<std::thread> threads;
  for (int64_t i = 0; i < o.threads; ++i) threads.emplace_back(work);
  for (auto& thread : threads) thread.join();
  if (error) std::rethrow_exception(error);
}

void run_jobs(const std::string& what, std::vector<Job>& jobs, const std::vector<FitPair>& pairs,
              const FitOptions& o, const FitProgress& progress) {
  const auto fitted =
      std::count_if(jobs.begin(), jobs.end(), [&](const Job& job) { return !pairs[job.pair].converted; });
  SharedProgress tick(what, fitted * o.setting.steps, progress);
  run_jobs(jobs, pairs, o, std::ref(tick));
}

std::vector<FitPair> pairs_of(const FitOptions& o) {
  using enum FitForm;
  std::vector<FitPair> pairs;
  if (o.teacher != "mla") {
    pairs.push_back({.teacher = gqa, .student = mla, .converted = true});
    pairs.push_back({.teacher = gqa, .student = mla});
    pairs.push_back({.teacher = gqa, .student = gqa});
  }
  if (o.teacher != "gqa") {
    pairs.push_back({.teacher = mla, .student = gqa, .starts = o.restarts});
    pairs.push_back({.teacher = mla, .student = mla, .starts = o.restarts});
    pairs.push_back({.teacher = mla, .student = gqa_wide, .starts = o.restarts});
  }
  return pairs;
}

void choose_rates(std::vector<FitPair>& pairs, const FitOptions& o, const FitProgress& progress) {
  std::vector<Job> jobs;
  for (size_t p = 0; p < pairs.size(); ++p) {
    pairs[p].rate = pairs[p].converted ? 0 : o.rates[0];
    if (pairs[p].converted || o.rates.size() == 1) continue;
    for (const double rate : o.rates) jobs.push_back({.pair = p, .seed = kRateSeed, .rate = rate});
  }
  run_jobs("learning rates", jobs, pairs, o, progress);
  std::vector<double> least(pairs.size(), std::numeric_limits<double>::infinity());
  for (const Job& job : jobs)
    if (job.points.back().error < least[job.pair]) {
      least[job.pair] = job.points.back().error;
      pairs[job.pair].rate = job.rate;
    }
}

void keep(const Job& job, FitPair& pair, const Mixer& student) {
  auto& best = pair.best[static_cast<size_t>(job.seed - 1)];
  best = std::min(best, job.points.back().error);
  if (job.start > 0) return;
  for (const auto& point : job.points)
    pair.rows.push_back({.seed = job.seed,
                         .step = point.step,
                         .cached = numbers_per_token(student.state_layout()),
                         .parameters = parameters_of(student),
                         .error = point.error,
                         .teacher = std::string(name_of(pair.teacher)),
                         .student = std::string(name_of(pair.student)),
                         .start = pair.converted ? "converted" : "random"});
}

}  // namespace

std::vector<FitPair> fit_all(const FitOptions& o, const FitProgress& progress) {
  auto pairs = pairs_of(o);
  choose_rates(pairs, o, progress);
  std::vector<Job> jobs;
  for (size_t p = 0; p < pairs.size(); ++p) {
    pairs[p].best.assign(static_cast<size_t>(o.seeds), std::numeric_limits<double>::infinity());
    for (int64_t seed = 1; seed <= o.seeds; ++seed)
      for (int64_t start = 0; start < pairs[p].starts; ++start)
        jobs.push_back({.pair = p, .seed = seed, .start = start, .rate = pairs[p].rate});
  }
  run_jobs("fitting", jobs, pairs, o, progress);
  for (const Job& job : jobs)
    keep(job, pairs[job.pair], *random_layer(o.setting, pairs[job.pair].student, 0, ""));
  return pairs;
}

FlatFields facts_of(const FitOptions& o, const std::vector<FitPair>& pairs) {
  const FitSetting& s = o.setting;
  FlatFields facts{{"d_model", s.d_model},
                   {"n_heads", s.n_heads},
                   {"n_kv_heads", s.n_kv_heads},
                   {"head_dim", s.head_dim},
                   {"batch", s.batch},
                   {"length", s.length},
                   {"rates", fmt::format("{}", fmt::join(o.rates, " "))}};
  for (const auto& pair : pairs) {
    if (pair.converted) continue;
    const auto name = fmt::format("{}_to_{}", name_of(pair.teacher), name_of(pair.student));
    facts.emplace_back(name + "_rate", pair.rate);
    facts.emplace_back(name + "_starts", pair.starts);
    facts.emplace_back(name + "_best_by_seed", fmt::format("{:.3e}", fmt::join(pair.best, " ")));
  }
  return facts;
}

}  // namespace attnlab
