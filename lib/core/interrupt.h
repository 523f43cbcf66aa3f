// Ctrl-C and SIGTERM as a flag that long loops look at, so that they save and leave.
#pragma once

#include <chrono>

namespace attnlab {

// Installs handlers for SIGINT and SIGTERM. A second signal ends the process at once.
void catch_interrupts();
// True once a signal came.
bool interrupted();
// Which signal it was (the last one); 0: none.
int interrupting_signal();

// Thrown by long work that saw the flag, after it saved its state. Programs exit with code 130.
struct Interrupted {};

// Waits. Throws Interrupted within 50 ms of a signal.
void interruptible_sleep(std::chrono::milliseconds time);

}  // namespace attnlab
