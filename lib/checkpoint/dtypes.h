// Names of element types.
#pragma once

#include <c10/core/ScalarType.h>

#include <array>
#include <string>
#include <string_view>
#include <utility>

namespace attnlab {

// What models are computed in.
inline constexpr std::array<std::pair<std::string_view, c10::ScalarType>, 3> kComputingDtypes{
    {{"float32", c10::kFloat}, {"bfloat16", c10::kBFloat16}, {"float16", c10::kHalf}}};

// Those names; torch's own for other types.
std::string dtype_name(c10::ScalarType dtype);

}  // namespace attnlab
