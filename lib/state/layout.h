// What a layer keeps while generating, slot by slot, without torch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace attnlab {

enum class Extent {
  per_token,  // grows by a row with each token: keys, values, latents
  fixed,      // one value for each sequence, replaced as tokens come: the state of a recurrence
};

// What is made of a slot's numbers.
enum class Serves { both, keys, values };

struct StateSlot {
  std::string name;   // "k", "v", "k_latent", …
  int64_t width = 0;  // numbers per token, of all heads; of a fixed slot: numbers of a sequence
  int64_t heads = 1;  // that share the width alike
  Extent extent = Extent::per_token;
  // Of each head, the numbers that hold rotary position already: `rotated` of them from `rotated_from` on.
  int64_t rotated_from = 0, rotated = 0;
  int64_t turning_block = 0;     // as many of those turn like a head by itself; 0: all as one
  bool own_frequencies = false;  // they turn by other frequencies than the tables' in their order
  bool of_kv_heads = false;      // its heads are KV heads, each read by the query heads of its group
  Serves serves = Serves::both;
  // The rotated numbers are a part of their own that many heads share: few, and all that tells position.
  // Storages that code numbers leave them as they are.
  bool rotary_apart = false;
};

using StateLayout = std::vector<StateSlot>;

// Numbers kept per token.
int64_t numbers_per_token(const StateLayout& layout);
// Numbers kept whatever the length.
int64_t fixed_numbers(const StateLayout& layout);
// Heads that all per-token slots have alike; 1 where they differ.
int64_t common_heads(const StateLayout& layout);

}  // namespace attnlab
