// What torch's ProcessGroupGloo.hpp names of Gloo, whose headers torch does not ship. Nothing of ours calls
// these types: they are declared so that the header can be read.
#pragma once

#include <gloo/rendezvous/store.h>
#include <gloo/transport/device.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace gloo {

class Context {
 public:
  void setTimeout(std::chrono::milliseconds timeout);
};

}  // namespace gloo
