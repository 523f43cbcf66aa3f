// Kernels that make a plan for each new shape pay where shapes come again and again.
#pragma once

namespace attnlab {

// While one lives in a thread, shapes of single queries come again and again there: `attend` may take cuDNN's
// kernel, which needs some 50 ms for a new one (torch 2.11, H200) and is the fastest then.
class ShapesRepeat {
 public:
  explicit ShapesRepeat(bool yes = true) : yes_(yes) { depth_ += yes_; }
  ~ShapesRepeat() { depth_ -= yes_; }
  ShapesRepeat(const ShapesRepeat&) = delete;
  ShapesRepeat& operator=(const ShapesRepeat&) = delete;
  static bool active() { return depth_ > 0; }

 private:
  bool yes_;
  inline static thread_local int depth_ = 0;
};

}  // namespace attnlab
