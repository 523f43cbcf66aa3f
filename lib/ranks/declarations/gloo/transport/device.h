// See gloo/context.h.
#pragma once

namespace gloo::transport {

class Device;
// Complete, for the destructor of a std::unique_ptr.
class UnboundBuffer {
 public:
  virtual ~UnboundBuffer();
};

}  // namespace gloo::transport
