#include "ranks/world.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <thread>

#include "core/errors.h"
#include "core/interrupt.h"
#include "core/numbers.h"
#include "ranks/monitor.h"

namespace attnlab {
namespace {

using Clock = std::chrono::steady_clock;

struct NothingPending : Pending {
  void wait() override {}
};

std::chrono::milliseconds seconds_in(const char* name, std::chrono::milliseconds otherwise) {
  const char* text = std::getenv(name);
  if (!text || !*text) return otherwise;
  const auto seconds = parse_number<double>(text);
  if (!seconds || *seconds < 0.1 || *seconds > 1e6)
    throw InputError(BadInput{.file = std::string("environment variable ") + name,
                              .found = fmt::format("'{}'", text),
                              .expected = "seconds, from 0.1 to 1000000"});
  return std::chrono::milliseconds(static_cast<int64_t>(1000 * *seconds));
}

// What rank 0 says to the others: a value, or what it threw.
enum Kind : char { value = 'v', bad_input = 'i', failure = 'f', interrupt = 'x' };

std::string heard(const std::string& message) {
  const std::string text = message.substr(1);
  switch (message[0]) {
    case bad_input:
      throw InputError(text);
    case failure:
      throw RunError(text);
    case interrupt:
      throw Interrupted{};
    default:
      return text;
  }
}

struct Outcome {
  std::string message;
  std::exception_ptr thrown;
};

Outcome outcome_of(const std::function<std::string()>& action) {
  const auto thrown = [](Kind kind, const std::string& text) {
    return Outcome{std::string(1, kind) + text, std::current_exception()};
  };
  try {
    return {std::string(1, value) + action(), nullptr};
  } catch (const Interrupted&) {
    return thrown(interrupt, "");
  } catch (const InputError& error) {
    return thrown(bad_input, error.what());
  } catch (const c10::Error& error) {
    return thrown(failure, error.what_without_backtrace());
  } catch (const std::exception& error) {
    return thrown(failure, error.what());
  }
}

}  // namespace

WorldOptions options_from_environment() {
  WorldOptions options;
  options.deadline = seconds_in("ATTNLAB_RANK_DEADLINE", options.deadline);
  options.silence = seconds_in("ATTNLAB_RANK_SILENCE", options.silence);
  options.beat = std::min(options.beat, options.silence / 4);
  return options;
}

struct World::Impl {
  WorldOptions options;
  StoreHandle store;
  std::unique_ptr<Collectives> collectives;
  std::unique_ptr<Monitor> monitor;
  int64_t said = 0, settled = 0;
};

World::World() = default;

World& World::alone() {
  static World world;
  return world;
}

World::World(const RankPlace& place, const std::function<StoreHandle()>& connect, const WorldOptions& options)
    : place_(place), impl_(std::make_unique<Impl>()) {
  ATTNLAB_CHECK(place.size > 1);
  impl_->options = options;
  impl_->store = connect();
  hosts_ = all_say(host_name());
  impl_->monitor = std::make_unique<Monitor>(place_, hosts_, connect(), options);
  const bool one_machine =
      std::all_of(hosts_.begin(), hosts_.end(), [&](const auto& h) { return h == hosts_[0]; });
  impl_->collectives = std::make_unique<Collectives>(
      make_gloo(impl_->store, place.rank, place.size, one_machine, options.deadline),
      [this] { return make_nccl(impl_->store, place_.rank, place_.size, impl_->options.deadline); },
      place.size);
}

World::~World() = default;

World::Waiting::Waiting(World& world) : world_(world) {
  if (world_.impl_ && world_.impl_->monitor) ++world_.impl_->monitor->waiting;
}
World::Waiting::~Waiting() {
  if (!world_.impl_ || !world_.impl_->monitor) return;
  --world_.impl_->monitor->waiting;
  ++world_.impl_->monitor->steps;
}

void World::progress() {
  if (impl_) ++impl_->monitor->steps;
}

// Without a deadline of its own: as long as the one that is waited for lives and goes on.
std::string World::wait_for(const std::string& key) {
  const Waiting waiting(*this);
  for (int64_t ms = 1; !impl_->store->check({key}); ms = std::min<int64_t>(2 * ms, 50))
    std::this_thread::sleep_for(std::chrono::milliseconds(ms));
  return impl_->store->get_to_str(key);
}

std::string World::first_says(const std::function<std::string()>& action) {
  if (is_alone()) return action();
  const std::string key = fmt::format("first/{}", impl_->said++);
  if (!is_first()) return heard(wait_for(key));
  Outcome outcome = outcome_of(action);
  impl_->store->set(key, outcome.message);
  if (outcome.thrown) std::rethrow_exception(outcome.thrown);
  return outcome.message.substr(1);
}

void World::first_does(const std::function<void()>& action) {
  first_says([&] {
    action();
    return std::string();
  });
}

std::vector<std::string> World::all_say(const std::string& text) {
  if (is_alone()) return {text};
  const auto key = [number = impl_->said++](int64_t rank) { return fmt::format("all/{}/{}", number, rank); };
  impl_->store->set(key(rank()), "v" + text);  // Gloo's clients of a store take an empty value for none
  std::vector<std::string> texts;
  for (int64_t r = 0; r < size(); ++r) texts.push_back(wait_for(key(r)).substr(1));
  return texts;
}

std::vector<std::string> World::all_do(const std::function<std::string()>& action) {
  if (is_alone()) return {action()};
  const Outcome outcome = outcome_of(action);
  std::vector<std::string> texts;
  for (const auto& message : all_say(outcome.message)) texts.push_back(heard(message));
  return texts;
}

void World::require_same(const std::string& what, const std::string& value) {
  const auto values = all_say(value);
  for (size_t r = 1; r < values.size(); ++r)
    if (values[r] != values[0])
      throw InputError(BadInput{.key = what,
                                .found = fmt::format("{} at rank {} ({})", values[r], r, hosts_[r]),
                                .expected = fmt::format("{}, as at rank 0 ({})", values[0], hosts_[0])});
}

void World::require_distinct(const std::string& what, const std::string& value) {
  const auto values = all_say(value);
  std::map<std::string, size_t> holders;
  for (size_t r = 0; r < values.size(); ++r) {
    const auto [holder, is_new] = holders.try_emplace(values[r], r);
    if (values[r].empty() || is_new) continue;
    throw InputError(BadInput{
        .key = what,
        .found = fmt::format("{} at rank {} and rank {} ({})", values[r], holder->second, r, hosts_[r]),
        .expected = "one for each rank"});
  }
}

PendingHandle World::sum(const torch::Tensor& flat) {
  return impl_ ? impl_->collectives->sum(flat) : std::make_unique<NothingPending>();
}

PendingHandle World::sum_slice(const torch::Tensor& own, const torch::Tensor& flat) {
  if (impl_) return impl_->collectives->sum_slice(own, flat);
  if (own.data_ptr() != flat.data_ptr()) own.copy_(flat);
  return std::make_unique<NothingPending>();
}

PendingHandle World::gather(const torch::Tensor& flat, const torch::Tensor& own) {
  if (impl_) return impl_->collectives->gather(flat, own);
  if (own.data_ptr() != flat.data_ptr()) flat.copy_(own);
  return std::make_unique<NothingPending>();
}

void World::share(torch::Tensor tensor) {
  if (!impl_) return;
  const Waiting waiting(*this);
  const torch::NoGradGuard no_grad;
  tensor = tensor.detach();
  const auto flat = tensor.contiguous();
  impl_->collectives->share(flat);
  if (!flat.is_alias_of(tensor)) tensor.copy_(flat);
}

torch::Tensor World::sum_small(const torch::Tensor& values) {
  if (!impl_) return values;
  const Waiting waiting(*this);
  return impl_->collectives->sum_small(values);
}

// What others threw because this rank left them comes later than its own cause, which then has ended them.
void World::settle(const std::string& cause) {
  if (is_alone()) return;
  const int64_t number = impl_->settled++;
  const auto key = [&](int64_t rank) { return fmt::format("settle/{}/{}", number, rank); };
  const auto start = Clock::now();
  try {
    impl_->store->set(key(rank()), "v" + cause);
    std::vector<std::string> keys;
    for (int64_t r = 0; r < size(); ++r) keys.push_back(key(r));
    while (Clock::now() - start < impl_->options.silence) {
      if (impl_->store->check(keys)) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  } catch (const c10::Error&) {  // the store is gone
  }
  fail(cause);
}

void World::fail(const std::string& cause) {
  if (impl_) impl_->monitor->fault(rank(), cause);
  throw RunError(cause);
}

void World::leave() {
  if (is_alone()) return;
  all_say("done");
  impl_->monitor.reset();
  impl_->store->set(fmt::format("left/{}", rank()), std::string("yes"));
  if (!place_.hosts_store) return;
  const auto start = Clock::now();
  for (int64_t r = 0; r < size(); ++r)
    while (!impl_->store->check({fmt::format("left/{}", r)}) && Clock::now() - start < impl_->options.silence)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

std::unique_ptr<World> join_world(const WorldOptions& options) {
  const auto place = place_from_environment();
  if (!place) return nullptr;
  bool hosts = place->hosts_store;
  const auto connect = [&] {
    return connect_store(place->address, place->port, std::exchange(hosts, false), std::chrono::seconds(300));
  };
  try {
    return std::make_unique<World>(*place, connect, options);
  } catch (const c10::Error& error) {
    throw RunError(fmt::format("rank {} ({}): cannot meet the others at {}:{}: {}", place->rank, host_name(),
                               place->address, place->port, error.what_without_backtrace()));
  }
}

}  // namespace attnlab
