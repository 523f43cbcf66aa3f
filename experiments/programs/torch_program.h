// What programs that compute with torch add to program.h.
#pragma once

#include <string>
#include <vector>

#include "program.h"
#include "tensor/torch.h"

namespace attnlab {

// For ProgramText::message: torch's errors without their stack traces.
std::string torch_message(const std::exception& error);

// A program that computes. Its threads give their cores away while they wait (OMP_WAIT_POLICY=passive, unless
// the environment says otherwise): threads that spin make a program several times slower as soon as others use
// the same cores. Memory that a step frees is kept for the next one. At the end it says so if others had the
// cores.
class TorchProgram : public Program {
 public:
  // text.message need not be given. `own_threads`: where a program that decides by itself how many there are
  // keeps the value of its own option (0: not given).
  explicit TorchProgram(ProgramText text, const int64_t* own_threads = nullptr);

  template <class Body>
  int run(int argc, char** argv, Body&& body) {
    return Program::run(argc, argv, [&]() -> int {
      begin(argv);
      int code = 0;
      if constexpr (std::is_void_v<decltype(body())>)
        body();
      else
        code = body();
      end();
      return code;
    });
  }

 private:
  void begin(char** argv) const;
  static void end();
  const int64_t* own_threads_;
  int64_t threads_ = 0;
};

// "cpu", "cuda", "cuda:1", or "auto" (a GPU if there is one). Throws InputError, also for a GPU that is not
// there.
torch::Device parse_device(const std::string& text);

// Several of them: "cuda:0,cuda:1". Throws InputError.
std::vector<torch::Device> parse_devices(const std::string& text);

// Adds --dtype and --device, for parse_dtype and parse_device.
void add_compute_options(Program& program, std::string& dtype, std::string& device);

// "float32", "bfloat16" or "float16". Throws InputError.
torch::ScalarType parse_dtype(const std::string& text);

}  // namespace attnlab
