// How examples share rows.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "core/names.h"

namespace attnlab {

//   none      one example a row, padded
//   stream    documents one behind the other, cut into full rows: attention and positions run across documents
//   isolated  whole documents side by side: attention and positions start anew at each
// false and true are the older names of the first two.
enum class Packing { none, stream, isolated };
template <>
struct EnumNames<Packing> {
  static constexpr std::array<std::pair<std::string_view, Packing>, 5> rows{{{"none", Packing::none},
                                                                             {"stream", Packing::stream},
                                                                             {"isolated", Packing::isolated},
                                                                             {"false", Packing::none},
                                                                             {"true", Packing::stream}}};
};

// `count` tokens of a document, from its token `first` on. They take count - 1 positions of a row: the last one
// is only a target.
struct Piece {
  int64_t document = 0, first = 0, count = 0;
};
using PackedRow = std::vector<Piece>;

// Lays documents, in the order given, into rows of `positions` positions: each into the oldest of up to 16 rows
// begun that has room, else into a new one; rows come out as they are full or, past 16, oldest first. A
// document that is longer than a row is cut at row ends; neighbouring pieces share a token, the last target of
// the one and first input of the other, so that every token but the first is a target exactly once. Documents
// of fewer than two tokens have nothing to predict and are left out. `tokens_of` gives a document's tokens.
std::vector<PackedRow> pack_rows(std::span<const int64_t> documents,
                                 const std::function<int64_t(int64_t)>& tokens_of, int64_t positions);

}  // namespace attnlab
