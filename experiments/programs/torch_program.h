// What programs that compute with torch add to program.h.
#pragma once

#include <string>

#include "program.h"
#include "tensor/torch.h"

namespace attnlab {

// For ProgramText::message: torch's errors without their stack traces.
std::string torch_message(const std::exception& error);

// "cpu", "cuda", "cuda:1", or "auto" (a GPU if there is one). Throws InputError, also for a GPU that is not
// there.
torch::Device parse_device(const std::string& text);

// Adds --dtype and --device, for parse_dtype and parse_device.
void add_compute_options(Program& program, std::string& dtype, std::string& device);

// "float32", "bfloat16" or "float16". Throws InputError.
torch::ScalarType parse_dtype(const std::string& text);

}  // namespace attnlab
