// A program whose work is spread over ranks.
#pragma once

#include <functional>
#include <string>

#include "ranks/world.h"

namespace attnlab {

class Program;
void add_ranks_option(Program& program, int64_t& ranks);

// Calls `body` with the world that this process is in. `ranks` 0: as the launcher says (torchrun, srun,
// mpirun), or alone; 1: alone; more: starts so many processes of this program here and waits for them, unless
// it is one of them. Ranks that are not of one program, or share a GPU, are refused. Errors that all have are
// thrown by rank 0 alone; those of one rank end all with one line. Returns the exit code.
int in_world(const std::string& program, int64_t ranks, char** argv, const std::function<int(World&)>& body);

}  // namespace attnlab
