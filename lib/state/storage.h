// Where a per-token slot's numbers lie. A storage is one class here and one row in cache_config.h's table.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "state/layout.h"
#include "tensor/torch.h"

namespace attnlab {

// The held tokens of one slot, oldest first. h heads of w numbers, W = h·w.
class TokenStorage {
 public:
  virtual ~TokenStorage() = default;

  // Behind the tokens that are held; x_BTW.
  virtual void append(const torch::Tensor& x_BTW) = 0;
  // A place for T tokens behind those, [B, T, W], that the caller writes before anything is read; undefined
  // where the storage must see the numbers.
  virtual torch::Tensor place(int64_t /*T*/) { return {}; }
  // All tokens that the queries of the pass that appended last may look at, [B, S, W]; a view where the storage
  // has the numbers as they are.
  virtual torch::Tensor read() const = 0;
  // The same, lengthened to a multiple of kAlignment tokens where the memory has them: matrix units are several
  // times as fast at such sizes. What stands behind the newest token is finite and means nothing.
  virtual torch::Tensor read_aligned() const { return read(); }
  static constexpr int64_t kAlignment = 8;

  virtual int64_t length() const = 0;
  // Keeps the tokens at these places of read(), in this order: int64 [B, h or 1, K].
  virtual void keep(const torch::Tensor& index_BhK) = 0;
  virtual void select_rows(const torch::Tensor& rows) = 0;
  // Keeps the oldest `length` tokens.
  virtual void truncate(int64_t length) = 0;
  // The rows of two storages of one kind, newest tokens side by side: of each the last `length` tokens (what it
  // does not have of them is 0), with room for `capacity` in all.
  virtual std::unique_ptr<TokenStorage> joined(const TokenStorage& other, int64_t length,
                                               int64_t capacity) const = 0;
  virtual std::unique_ptr<TokenStorage> clone() const = 0;
  // A window bounds what is held, and older tokens may be gone already.
  virtual bool forgets() const { return false; }
  // Bytes that the held tokens take.
  virtual int64_t bytes() const = 0;
};

struct StorageNeeds {
  StateSlot slot;
  int64_t B = 0, capacity = 0;
  torch::TensorOptions options;  // of the numbers as they come
  int64_t window = 0;            // tokens that later ones can see; 0: all
};
using StorageMaker = std::function<std::unique_ptr<TokenStorage>(const StorageNeeds&)>;

// The numbers as they are, in one preallocated [B, capacity, W]. With a window only the tokens that later ones
// can see are kept: the memory does not grow with the sequence.
std::unique_ptr<TokenStorage> dense_storage(const StorageNeeds& needs);

}  // namespace attnlab
