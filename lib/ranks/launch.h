// The ranks of a world as processes of this machine.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace attnlab {

// Starts this executable `count` times with the same arguments (argv, the program's name first), each told its
// rank, and waits for all. The store that they meet in is here, so that it outlives any of them. An interrupt
// is passed on. When one ends badly, the others get as long as options_from_environment().silence to end by
// themselves, and are then killed; none outlives this process. `tell` gets the line that names a rank which a
// signal ended. Returns the largest of their exit codes, 1 for a signal. Throws RunError if one can't be
// started.
int launch_ranks(int64_t count, char** argv, void (*tell)(const std::string& line));

// Whether this process was started by launch_ranks; from then on it ends with the process that did.
bool was_launched();

}  // namespace attnlab
