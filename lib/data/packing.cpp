#include "data/packing.h"

#include <algorithm>

namespace attnlab {
namespace {

constexpr size_t kOpenRows = 16;

struct OpenRow {
  PackedRow pieces;
  int64_t room;
};

class Packer {
 public:
  explicit Packer(int64_t positions) : positions_(positions) {}

  void add(const Piece& piece) {
    const int64_t wanted = piece.count - 1;
    auto row = std::find_if(open_.begin(), open_.end(), [&](const OpenRow& r) { return r.room >= wanted; });
    if (row == open_.end()) {
      if (open_.size() == kOpenRows) close(open_.begin());
      open_.push_back({.pieces = {}, .room = positions_});
      row = open_.end() - 1;
    }
    row->pieces.push_back(piece);
    row->room -= wanted;
    if (row->room == 0) close(row);
  }

  std::vector<PackedRow> finish() {
    while (!open_.empty()) close(open_.begin());
    return std::move(rows_);
  }

 private:
  void close(std::vector<OpenRow>::iterator row) {
    rows_.push_back(std::move(row->pieces));
    open_.erase(row);
  }

  int64_t positions_;
  std::vector<OpenRow> open_;
  std::vector<PackedRow> rows_;
};

}  // namespace

std::vector<PackedRow> pack_rows(std::span<const int64_t> documents,
                                 const std::function<int64_t(int64_t)>& tokens_of, int64_t positions) {
  Packer packer(positions);
  for (const int64_t document : documents) {
    const int64_t tokens = tokens_of(document);
    for (int64_t first = 0; first + 1 < tokens; first += positions)
      packer.add({.document = document, .first = first, .count = std::min(positions + 1, tokens - first)});
  }
  return packer.finish();
}

}  // namespace attnlab
