// Collectives of c10d: Gloo between CPUs, NCCL between GPUs.
#pragma once

#include <chrono>
#include <string>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

namespace attnlab {

using StoreHandle = c10::intrusive_ptr<c10d::Store>;
using BackendHandle = c10::intrusive_ptr<c10d::Backend>;

// A client of the store at this address, with a connection of its own; `host`: which opens it, too.
StoreHandle connect_store(const std::string& address, uint16_t port, bool host,
                          std::chrono::milliseconds timeout);
// A store that others connect to, at a port that is free. Sets `port`.
StoreHandle open_store(uint16_t& port);

// `one_machine`: all ranks are on this one, and speak over its loopback device.
BackendHandle make_gloo(const StoreHandle& store, int64_t rank, int64_t size, bool one_machine,
                        std::chrono::milliseconds timeout);
// On the current GPU. Throws InputError where this build has no NCCL.
BackendHandle make_nccl(const StoreHandle& store, int64_t rank, int64_t size,
                        std::chrono::milliseconds timeout);

}  // namespace attnlab
