// check_reference KIND DIR: cases that other software made, run here, a line for each.
#include <fmt/format.h>

#include "core/names.h"
#include "crosscheck/crosscheck.h"
#include "program.h"
#include "torch_program.h"

namespace {
using namespace attnlab;

struct Counts {
  int64_t agree = 0, disagree = 0, not_checked = 0;
};

void print_case(const CaseOutcome& outcome, Counts& counts) {
  if (!outcome.not_checked.empty()) {
    ++counts.not_checked;
    fmt::print("not checked  {}: {}\n", outcome.name, outcome.not_checked);
  } else if (outcome.agrees()) {
    ++counts.agree;
    fmt::print("agrees       {}: {} comparisons, farthest {}: {:.2e} apart, {:.2e} allowed\n", outcome.name,
               outcome.comparisons, outcome.worst, outcome.largest, outcome.allowed);
  } else {
    ++counts.disagree;
    fmt::print("DISAGREES    {}: {} of {} comparisons\n", outcome.name, outcome.misses.size(),
               outcome.comparisons);
    for (const auto& miss : outcome.misses) fmt::print("             {}\n", miss);
  }
  std::fflush(stdout);
}

int check(const std::vector<std::string>& arguments) {
  if (arguments.size() != 2) throw InputError(std::string("expected KIND DIR (see --help)"));
  const auto kind = parse_name<CrosscheckKind>("KIND", arguments[0]);
  Counts counts;
  crosscheck(kind, arguments[1], [&](const CaseOutcome& outcome) { print_case(outcome, counts); });
  fmt::print("{} agree, {} disagree, {} not checked\n", counts.agree, counts.disagree, counts.not_checked);
  return counts.disagree + counts.not_checked > 0 ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> arguments;
  TorchProgram program(
      {.name = "check_reference",
       .usage = "KIND DIR",
       .about = "Computes again what other software computed, for every case below a folder: NAME.json\n"
                "beside NAME.safetensors, and checkpoints with reference.safetensors. A line a case says\n"
                "what was compared, the largest difference and what is allowed.\n"
                "KIND: " +
                join(all_names<CrosscheckKind>()),
       .example = "check_reference mixers DIR",
       .exits = "0 all agree, 1 one disagrees or could not be checked, 2 bad input"});
  program.positional("arguments", arguments);
  return program.run(argc, argv, [&] { return check(arguments); });
}
