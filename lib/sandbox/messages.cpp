#include "sandbox/messages.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>

namespace attnlab {
namespace {

void put_number(std::string& out, size_t value) {
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(value >> shift & 255);
}

size_t number_at(const std::string& bytes, size_t at) {
  size_t value = 0;
  for (size_t i = 0; i < 4; ++i)
    value |= static_cast<size_t>(static_cast<unsigned char>(bytes[at + i])) << 8 * i;
  return value;
}

ssize_t send_with(int socket, const char* data, size_t size, int descriptor) {
  iovec piece{const_cast<char*>(data), size};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  if (descriptor >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
  }
  return sendmsg(socket, &message, MSG_NOSIGNAL);
}

// More bytes into `bytes`; false at the deadline or the end.
bool receive_more(int socket, std::string& bytes, size_t most, Clock::time_point deadline,
                  const std::function<void()>& tick) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    pollfd end{socket, POLLIN, 0};
    const int wait = static_cast<int>(std::min<int64_t>(left, 20));
    if (poll(&end, 1, wait) > 0) break;
    if (tick) tick();
  }
  std::array<char, 65536> buffer;
  const ssize_t n = recv(socket, buffer.data(), std::min(most, buffer.size()), 0);
  if (n <= 0) return n < 0 && errno == EINTR;
  bytes.append(buffer.data(), static_cast<size_t>(n));
  return true;
}

std::optional<Parts> split(const std::string& body) {
  if (body.size() < 4) return std::nullopt;
  Parts parts(std::min(number_at(body, 0), body.size()));
  size_t at = 4;
  for (std::string& part : parts) {
    if (body.size() - at < 4) return std::nullopt;
    const size_t size = number_at(body, at);
    at += 4;
    if (body.size() - at < size) return std::nullopt;
    part = body.substr(at, size);
    at += size;
  }
  return parts;
}

// Length of the UTF-8 character at `at`, 0 if there is none (Unicode 15, table 3-7).
size_t character_length(const std::string& text, size_t at) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0; };
  const unsigned char first = static_cast<unsigned char>(byte(at)),
                      second = static_cast<unsigned char>(byte(at + 1));
  if (first < 0x80) return 1;
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4) return 0;
  if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f)) return 0;
  if ((first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f)) return 0;
  for (size_t i = 1; i < length; ++i)
    if (at + i >= text.size() || (byte(at + i) & 0xc0) != 0x80) return 0;
  return length;
}

}  // namespace

bool send_parts(int socket, const Parts& parts, int descriptor) {
  std::string body, frame;
  put_number(body, parts.size());
  for (const std::string& part : parts) {
    put_number(body, part.size());
    body += part;
  }
  put_number(frame, body.size());
  frame += body;
  // The descriptor travels with the length alone, so that it can't be lost between two reads.
  if (send_with(socket, frame.data(), 4, descriptor) != 4) return false;
  for (size_t sent = 4; sent < frame.size();) {
    const ssize_t n = send(socket, frame.data() + sent, frame.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    sent += static_cast<size_t>(n);
  }
  return true;
}

std::optional<Parts> receive_parts(int socket, Clock::time_point deadline, size_t cap,
                                   const std::function<void()>& tick) {
  std::string bytes;
  while (bytes.size() < 4)
    if (!receive_more(socket, bytes, 4 - bytes.size(), deadline, tick)) return std::nullopt;
  const size_t size = number_at(bytes, 0);
  if (size > cap) return std::nullopt;
  bytes.clear();
  while (bytes.size() < size)
    if (!receive_more(socket, bytes, size - bytes.size(), deadline, tick)) return std::nullopt;
  return split(bytes);
}

bool receive_ready(int socket, Clock::time_point deadline) {
  std::string byte;
  while (byte.empty())
    if (!receive_more(socket, byte, 1, deadline, {})) return false;
  return byte == "R";
}

std::string valid_utf8(const std::string& bytes, size_t cap) {
  std::string text;
  for (size_t at = 0; at < bytes.size();) {
    const size_t length = character_length(bytes, at);
    if (text.size() + std::max<size_t>(length, 1) > cap) break;
    text += length ? bytes.substr(at, length) : "?";
    at += std::max<size_t>(length, 1);
  }
  return text;
}

}  // namespace attnlab
