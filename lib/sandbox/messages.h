// What the harness and the examiner say to each other: lists of byte strings, each with its length in front
// (32 bits, little-endian), the number of them before, and the length of all before that.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace attnlab {

using Clock = std::chrono::steady_clock;
using Parts = std::vector<std::string>;

// Hands `descriptor` over with it, if not -1. False if nobody is there to receive it.
bool send_parts(int socket, const Parts& parts, int descriptor = -1);

// Waits until `deadline`, calling `tick` each 20 ms. Nothing if none came in time, the other end hung up, or it
// is malformed or longer than `cap` bytes.
std::optional<Parts> receive_parts(int socket, Clock::time_point deadline, size_t cap,
                                   const std::function<void()>& tick = {});

// The one byte that says that a Python inside is ready; false if it ended or `deadline` passed.
bool receive_ready(int socket, Clock::time_point deadline);

// At most `cap` bytes of valid UTF-8: what is not becomes "?".
std::string valid_utf8(const std::string& bytes, size_t cap);

}  // namespace attnlab
