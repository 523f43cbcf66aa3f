// How a storage codes tokens: numbers to tensors of few bits and back. What is held where, and when it is
// coded, is coded_storage.h's.
//
// Shapes: L lanes (sequences, or each of their heads where heads keep tokens of their own), n tokens, w numbers
// of a lane's token.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "state/sparse_rows.h"
#include "state/storage.h"
#include "tensor/torch.h"

namespace attnlab {

// `outliers`: numbers that stay as they came, each in its token; where there are none, undefined.
struct CodedTokens {
  std::vector<torch::Tensor> by_token;  // [L, n, …]
  std::vector<torch::Tensor> by_group;  // [L, n / tokens_per_group, …]
  SparseRows outliers = {};
};

class TokenCodec {
 public:
  virtual ~TokenCodec() = default;
  // Tokens that share numbers; encode gets a multiple of them.
  virtual int64_t tokens_per_group() const { return 1; }
  // x_LnW; heads_L (int64): which of the slot's heads each lane is, 0 where a lane is all of them.
  virtual CodedTokens encode(const torch::Tensor& x_LnW, const torch::Tensor& heads_L) const = 0;
  // [L, n, w] in this type; outliers are put in behind it. What stands by group comes once for each token, [L,
  // n, …].
  virtual torch::Tensor decode(const CodedTokens& coded, const torch::Tensor& heads_L,
                               torch::ScalarType dtype) const = 0;
  // The same as a kernel reads it, [L, n]: views; nullopt where none does.
  virtual std::optional<CodedLatent> as_latent(const CodedTokens& /*coded*/) const { return std::nullopt; }
  // Bytes of a token, and of a group of them, whose numbers come with `element_bytes` each.
  virtual double bytes_per_token(int64_t element_bytes) const = 0;
  virtual double bytes_per_group(int64_t /*element_bytes*/) const { return 0; }
};

// Which tokens are coded. Those of a prompt are, at its end.
struct CodingRule {
  int64_t first = 0;     // oldest tokens that stay as they came
  int64_t newest = 0;    // newest ones that do
  int64_t step = 1;      // the others are coded so many at a time, or wait
  bool at_once = false;  // a token behind the prompt is coded before it is read; else behind its pass
};

// A storage whose slots may each be coded in a way of their own.
class CodedForm : public StorageForm {
 public:
  std::unique_ptr<TokenStorage> make(const StorageNeeds& needs) const final;
  double bytes(const StateSlot& slot, int64_t tokens, int64_t element_bytes) const final;

 protected:
  struct Coding {
    std::shared_ptr<const TokenCodec> codec;  // null: the numbers stay as they come
    CodingRule rule;
  };
  // `lanes`: how many the slot is divided into, 1 or its heads.
  virtual Coding coding(const StateSlot& slot, int64_t lanes) const = 0;
};

// The numbers of a slot's head, or of all of it where there is one.
int64_t numbers_of_head(const StateSlot& slot);
// How many of them have one scale: a head's; where one is all (a latent, MQA) at most 128.
int64_t numbers_per_scale(const StateSlot& slot);
// Neighbours that share a scale: `asked`, or where that is 0 the largest divisor of `width` up to `most`.
int64_t scale_group(int64_t asked, int64_t width, int64_t most);
// Why `asked` can't be, if so: it does not divide the width, or (0) what does is too small. Key: "group".
std::optional<BadInput> group_problem(int64_t asked, const StateSlot& slot, int64_t width, int64_t most);

// The same numbers coded by `inner`, but for `count` from `from` on, which stay as they come.
std::shared_ptr<const TokenCodec> with_exact_numbers(std::shared_ptr<const TokenCodec> inner, int64_t from,
                                                     int64_t count);

}  // namespace attnlab
