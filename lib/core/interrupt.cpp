#include "core/interrupt.h"

#include <algorithm>
#include <csignal>
#include <thread>

namespace attnlab {
namespace {
volatile std::sig_atomic_t flag = 0;

void on_signal(int number) {
  flag = number;
  std::signal(number, SIG_DFL);
}
}  // namespace

void catch_interrupts() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
}

bool interrupted() { return flag != 0; }
int interrupting_signal() { return flag; }

void interruptible_sleep(std::chrono::milliseconds time) {
  constexpr std::chrono::milliseconds piece{50};
  for (; time.count() > 0; time -= piece) {
    if (interrupted()) throw Interrupted{};
    std::this_thread::sleep_for(std::min(piece, time));
  }
}

}  // namespace attnlab
