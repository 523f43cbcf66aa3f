// Whether packed tensors of a file can mean anything.
#pragma once

#include <optional>

#include "quantize/packed_matrix.h"

namespace attnlab {

// What is wrong with a matrix (key: "g_idx", "qzeros" or "scales"), if something is:
// - a group that is not there, one with more columns than group_size, or columns that are not in order although
//   desc_act is false;
// - symmetric grids whose zero point is not 2^(bits - 1): then the zeros are of another version of the layout;
// - scales that are not finite.
// Shapes must be right.
std::optional<BadInput> packed_problem(const PackedMatrix& packed, const MatrixPacking& packing);

// A zero point of 0 in the first version, which AutoGPTQ reads as 2^bits.
bool has_ambiguous_zeros(const PackedMatrix& packed, const MatrixPacking& packing);

}  // namespace attnlab
