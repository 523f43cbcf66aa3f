// The naive twin of the decoder: a whole forward pass of one sequence in plain loops over std::vector<double>,
// without a cache, written from the papers' equations and sharing no code with lib/.
//
// Tensors come by the names that Hugging Face's files have. What a file does not hold is not computed: absent
// biases are zero, absent lm_head means the embedding, qkv_proj and gate_up_proj are fused matrices, q_norm
// means QK norm, kv_a_proj_with_mqa means MLA, q_a_proj a compressed query, gate a mixture of experts, and
// e_score_correction_bias one whose scores are sigmoids.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "reference/attention_twin.h"

namespace attnlab::reference {

// Frequencies f_i = θ^(-2i/d), changed as `type` says ("": not at all; "linear", "dynamic", "llama3", "yarn",
// "longrope").
struct TwinRope {
  std::string type = {};
  double theta = 10000;
  int64_t dim = 0;  // numbers of a head that turn, d
  double factor = 1, low = 1, high = 4;
  int64_t original = 0;
  double fast = 32, slow = 1;  // yarn
  bool whole_ends = true;      // yarn: truncate
  std::vector<double> short_factors = {}, long_factors = {};
  double table_factor = 1;   // on cos and sin
  double angle_scale = 1;    // for tests: how much logits move with the angles
  bool interleaved = false;  // pairs (2i, 2i + 1), not (i, i + d/2)
};

struct TwinConfig {
  int64_t vocab = 0, width = 0, mlp_width = 0;
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
  double norm_eps = 0;
  std::vector<int64_t> windows = {};  // of each layer; 0: it sees everything
  TwinRope rope = {};
  double window_theta = 0;  // layers with a window turn by θ^(-2i/d) of this θ; 0: as the others
  double query_scalar = 0;  // scores are q·k / √query_scalar
  double score_cap = 0, logit_cap = 0;
  int64_t experts = 0, experts_per_token = 0;
  int64_t expert_width = 0;             // 0: mlp_width
  int64_t groups = 1, groups_used = 1;  // of experts
  bool shares_sum = true;               // the chosen experts' weights are made to sum to 1
  double routed_scale = 1;
  int64_t q_rank = 0, kv_rank = 0, nope_dim = 0, value_dim = 0;  // MLA
  bool gemma = false;  // norms times 1 + w and behind the blocks, too; embeddings times √width; GELU
};

// Logits [T, vocab] of one sequence.
Values decoder_logits(const TwinConfig& config, const NamedValues& tensors, const std::vector<int64_t>& ids);

// cos and sin of all T positions times all frequencies, [T, dim / 2] each; a sequence of T tokens is what
// longrope's switch looks at.
struct TwinAngles {
  Values cos, sin;
};
TwinAngles twin_angles(const TwinRope& rope, int64_t T);

}  // namespace attnlab::reference
