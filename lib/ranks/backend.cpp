#include "ranks/backend.h"

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#ifdef ATTNLAB_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

#include <cstdlib>

#include "core/errors.h"

namespace attnlab {
namespace {

// torchrun's store is its own, too, and outlives ranks that it starts again.
StoreHandle own_part(const StoreHandle& store) {
  const char* restart = std::getenv("TORCHELASTIC_RESTART_COUNT");
  return c10::make_intrusive<c10d::PrefixStore>(std::string("attnlab/") + (restart ? restart : "0"), store);
}

}  // namespace

StoreHandle connect_store(const std::string& address, uint16_t port, bool host,
                          std::chrono::milliseconds timeout) {
  c10d::TCPStoreOptions options;
  options.port = port;
  options.isServer = host;
  options.waitWorkers = false;
  options.timeout = timeout;
  return own_part(c10::make_intrusive<c10d::TCPStore>(address, options));
}

StoreHandle open_store(uint16_t& port) {
  c10d::TCPStoreOptions options;
  options.port = 0;
  options.isServer = true;
  options.waitWorkers = false;
  auto store = c10::make_intrusive<c10d::TCPStore>("127.0.0.1", options);
  port = store->getPort();
  return own_part(store);
}

BackendHandle make_gloo(const StoreHandle& store, int64_t rank, int64_t size, bool one_machine,
                        std::chrono::milliseconds timeout) {
  using Gloo = c10d::ProcessGroupGloo;
  auto options = c10::make_intrusive<Gloo::Options>(timeout);
  const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
  options->devices.push_back(interface     ? Gloo::createDeviceForInterface(interface)
                             : one_machine ? Gloo::createDeviceForHostname("127.0.0.1")
                                           : Gloo::createDefaultDevice());
  return c10::make_intrusive<Gloo>(c10::make_intrusive<c10d::PrefixStore>("gloo", store),
                                   static_cast<int>(rank), static_cast<int>(size), options);
}

#ifdef ATTNLAB_NCCL
BackendHandle make_nccl(const StoreHandle& store, int64_t rank, int64_t size,
                        std::chrono::milliseconds timeout) {
  using Nccl = c10d::ProcessGroupNCCL;
  auto options = Nccl::Options::create();
  options->timeout = timeout;
  return c10::make_intrusive<Nccl>(c10::make_intrusive<c10d::PrefixStore>("nccl", store),
                                   static_cast<int>(rank), static_cast<int>(size), options);
}
#else
BackendHandle make_nccl(const StoreHandle&, int64_t, int64_t, std::chrono::milliseconds) {
  throw InputError(
      "ranks on GPUs need NCCL, which this build was made without: install nvidia-nccl beside torch and "
      "build in a new folder, or compute with device: cpu");
}
#endif

}  // namespace attnlab
