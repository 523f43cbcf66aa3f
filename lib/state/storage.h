// Where a per-token slot's numbers lie. A storage is a StorageForm and a row in storage_config.h's table; one
// that codes tokens is a TokenCodec (token_codec.h) and needs no storage of its own.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/errors.h"
#include "kernels/coded_latent.h"
#include "state/layout.h"
#include "tensor/torch.h"

namespace attnlab {

// A pass has ended, and the policy has chosen.
struct SettledPass {
  bool goes_on = false;  // more of the prompt follows
  // bool [B, h, S]: which of the held tokens are none, but gaps on the left that shorter rows fill; undefined:
  // what stands in the first padding_B1 columns of the batch, if that is defined.
  torch::Tensor valid_BhS, padding_B1;
};

// Where new tokens of B sequences are to be written: x [B, T, W], or, with `rows_B` defined (int64), [P, T, W],
// of which each sequence has the row that this says.
struct TokenPlace {
  torch::Tensor x_PTW, rows_B;
};

// The held tokens of one slot, oldest first. h heads of w numbers, W = h·w.
class TokenStorage {
 public:
  virtual ~TokenStorage() = default;

  // Behind the tokens that are held; x_BTW.
  virtual void append(const torch::Tensor& x_BTW) = 0;
  // A place for T tokens behind those, that the caller writes before anything is read; undefined where the
  // storage must see the numbers.
  virtual TokenPlace place(int64_t /*T*/) { return {}; }
  // All tokens that the queries of the pass that appended last may look at, [B, S, W]; a view where the storage
  // has the numbers as they are. Gaps hold finite numbers that mean nothing.
  virtual torch::Tensor read() const = 0;
  // The same, lengthened to a multiple of kAlignment tokens where the memory has them: matrix units are several
  // times as fast at such sizes. What stands behind the newest token is finite and means nothing.
  virtual torch::Tensor read_aligned() const { return read(); }
  static constexpr int64_t kAlignment = 8;

  // The same as codes that a kernel reads as they lie, where it is kept so; row s of a sequence is token s of
  // read(), but for the gaps.
  virtual std::optional<CodedLatent> read_coded() const { return std::nullopt; }
  // How many tokens these are.
  virtual int64_t shown() const = 0;

  virtual int64_t length() const = 0;
  // Keeps the tokens at these places of read(), in this order, where `valid`: int64 and bool [B, h or 1, K],
  // invalid ones on the left.
  virtual void keep(const torch::Tensor& index_BhK, const torch::Tensor& valid_BhK) = 0;
  // Behind each pass, and behind `keep`: a storage that codes tokens may do so now. Tokens of a prompt are
  // read as they are until its last pass has settled.
  virtual void settle(const SettledPass& /*pass*/) {}
  virtual void select_rows(const torch::Tensor& rows) = 0;
  // Keeps the oldest `length` tokens.
  virtual void truncate(int64_t length) = 0;
  // The rows of two storages of one kind, newest tokens side by side: of each the last `length` tokens (what it
  // does not have of them is a gap), with room for `capacity` in all.
  virtual std::unique_ptr<TokenStorage> joined(const TokenStorage& other, int64_t length,
                                               int64_t capacity) const = 0;
  virtual std::unique_ptr<TokenStorage> clone() const = 0;
  // Cutting the newest tokens off does not bring back what was: older ones may be gone, or coded.
  virtual bool forgets() const { return false; }
  // The tensors that the held tokens lie in, cut to these.
  virtual std::vector<torch::Tensor> parts() const = 0;
  int64_t bytes() const;
};

struct StorageNeeds {
  StateSlot slot;
  int64_t B = 0, capacity = 0;
  torch::TensorOptions options;  // of the numbers as they come
  int64_t window = 0;            // tokens that later ones can see; 0: all
  bool by_head = false;          // each head keeps tokens of its own
};

// How slots are stored. It has no state of its own, so that all layers share one.
class StorageForm {
 public:
  virtual ~StorageForm() = default;
  virtual std::unique_ptr<TokenStorage> make(const StorageNeeds& needs) const = 0;
  // Bytes of a slot of one sequence that holds so many tokens, behind a prompt, in numbers of `element_bytes`
  // as they come.
  virtual double bytes(const StateSlot& slot, int64_t tokens, int64_t element_bytes) const = 0;
  // Of the states of one batch, whose layers are made in order, where they share something; null: this one.
  virtual std::shared_ptr<const StorageForm> for_states(size_t /*n_layers*/) const { return nullptr; }
  // Of a layer, where layers differ; null: this one.
  virtual std::shared_ptr<const StorageForm> of_layer(size_t /*layer*/, size_t /*n_layers*/) const {
    return nullptr;
  }
  // Layers share what they keep of a token, so that they must keep the same tokens.
  virtual bool over_layers() const { return false; }
  // The window whose tokens a layer holds, of the windows of all layers (0: all tokens).
  virtual int64_t window_of(size_t layer, const std::vector<int64_t>& windows) const {
    return windows.at(layer);
  }
  // A pass tells where its tokens stand, whatever came before (row_storage.h).
  virtual bool placed_by_pass() const { return false; }
  // Keys come without rotary position and get it where they are read.
  virtual bool keys_before_rotary() const { return false; }
  // What is read is what was computed.
  virtual bool as_computed() const { return false; }
  // Why a slot can't be stored so, if so. Keys as in storage_config.h.
  virtual std::optional<BadInput> problem(const StateSlot&) const { return std::nullopt; }
};
using StoragePlan = std::shared_ptr<const StorageForm>;

// The numbers as they are, in one preallocated [B, capacity, W]. With a window only the tokens that later ones
// can see are kept: the memory does not grow with the sequence.
StoragePlan dense_storage();

}  // namespace attnlab
