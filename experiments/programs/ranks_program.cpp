#include "ranks_program.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

#include "core/files.h"
#include "core/interrupt.h"
#include "program.h"
#include "ranks/device.h"
#include "ranks/launch.h"
#include "torch_program.h"

namespace attnlab {
namespace {

std::string program_name;

void tell_fault(const std::string& line) {
  std::fputs(fmt::format("{}: {}; the same command goes on\n", program_name, line).c_str(), stderr);
}

// Other threads hang in what will never come: nothing is taken down in order.
[[noreturn]] void end_with_fault(const std::string& line, bool tell) {
  if (tell) tell_fault(line);
  std::fflush(nullptr);
  std::_Exit(1);
}

// The exit code of an error that rank 0 tells of.
template <class Body>
int run_rank(World& world, const Body& body) {
  try {
    const int code = body();
    world.leave();
    return code;
  } catch (const Interrupted&) {
    world.settle("interrupted");
    world.leave();
    if (world.is_first()) throw;
    return 130;
  } catch (const InputError& error) {
    world.settle(error.what());
    world.leave();
    if (world.is_first()) throw;
    return 2;
  } catch (const std::exception& error) {
    world.settle(torch_message(error));
    world.leave();
    if (world.is_first()) throw;
    return 1;
  }
}

}  // namespace

void add_ranks_option(Program& program, int64_t& ranks) {
  program.option("ranks", ranks, "N",
                 "processes that work together, a GPU each, started here; 0: those that torchrun, srun "
                 "or mpirun started, 1: this one alone");
}

int in_world(const std::string& program, int64_t ranks, char** argv, const std::function<int(World&)>& body) {
  program_name = program;
  require_range("--ranks", ranks, 0, 4096);
  const bool launched = was_launched();
  if (!launched && ranks > 1) return launch_ranks(ranks, argv, tell_fault);
  if (!launched && ranks == 1) return body(World::alone());
  WorldOptions options = options_from_environment();
  options.on_fault = end_with_fault;
  const auto world = join_world(options);
  if (!world) return body(World::alone());
  return run_rank(*world, [&] {
    if (ranks > 1 && ranks != world->size())
      throw InputError(BadInput{.file = "--ranks",
                                .found = fmt::format("{}, started as one of {}", ranks, world->size()),
                                .expected = "0, or their number"});
    world->require_same("program", sha256_file("/proc/self/exe"));
    world->require_distinct("GPU", choose_gpu(world->local_rank()));
    return body(*world);
  });
}

}  // namespace attnlab
