#include "attention/attention_pass.h"

#include "attention/attend_latent.h"
#include "attention/rotary.h"
#include "core/errors.h"
#include "kernels/fused.h"

namespace attnlab {
namespace {

// Rows of a table [B or 1, S, H] at columns [B, K].
torch::Tensor rows_at(const torch::Tensor& table_BSH, const torch::Tensor& columns_BK) {
  const int64_t H = table_BSH.size(2), B = columns_BK.size(0), K = columns_BK.size(1);
  const auto index_BKH = columns_BK.clamp(0, table_BSH.size(1) - 1).unsqueeze(-1).expand({B, K, H});
  return table_BSH.expand({B, -1, -1}).gather(1, index_BKH);
}

}  // namespace

AttentionPass::AttentionPass(const MixerInput& input, int64_t window)
    : input_(input), window_(window), kept_(input.x_BTD.size(1)) {
  ATTNLAB_CHECK(input.sequence && input.sequence->T() == input.x_BTD.size(1));
}

torch::Tensor AttentionPass::remember(size_t slot, const torch::Tensor& x) {
  if (!input_.state) return x;
  auto kept = input_.state->remember(slot, x);
  kept_ = input_.state->kept();
  return kept;
}

RotaryTables AttentionPass::kept_tables() const {
  const auto& [cos, sin] = all_tables();
  if (!input_.state || !input_.state->places().defined()) {
    const int64_t first = input_.sequence->S() - kept_;
    return {cos.narrow(1, first, kept_), sin.narrow(1, first, kept_)};
  }
  const auto& places_BhS = input_.state->places();
  ATTNLAB_CHECK(places_BhS.size(1) == 1);  // what heads keep apart from each other is turned already
  const auto columns_BS = places_BhS.squeeze(1);
  return {rows_at(cos, columns_BS), rows_at(sin, columns_BS)};
}

torch::Tensor AttentionPass::turn(const torch::Tensor& x_BNTH) const {
  const auto& [cos, sin] = new_tables();
  return apply_rotary(x_BNTH, cos, sin);
}

std::pair<torch::Tensor, torch::Tensor> AttentionPass::turn_and_remember(const torch::Tensor& q_BNTH,
                                                                         const torch::Tensor& k_BGTH,
                                                                         size_t slot) {
  if (input_.state && has_kernels(q_BNTH) && !torch::GradMode::is_enabled())
    if (const auto place_BGTH = input_.state->place(slot, k_BGTH.size(2)); place_BGTH.defined()) {
      const auto& [cos, sin] = new_tables();
      const auto turned_BNTH = rotate_queries_and_keys(q_BNTH, k_BGTH, place_BGTH, cos, sin);
      const auto k_BGSH = input_.state->placed(slot);
      kept_ = input_.state->kept();
      return {turned_BNTH, k_BGSH};
    }
  const auto turned_BNTH = turn(q_BNTH);
  return {turned_BNTH, remember(slot, turn(k_BGTH))};
}

torch::Tensor AttentionPass::turn_kept(const torch::Tensor& x_BNSH) const {
  const auto [cos, sin] = kept_tables();
  return apply_rotary(x_BNSH, cos, sin);
}

torch::Tensor AttentionPass::mask() const {
  const LayerState* state = input_.state;
  if (!state || !state->places().defined()) return input_.sequence->mask(window_, kept_);
  return input_.sequence->mask_at(state->places(), state->valid(), window_);
}

torch::Tensor AttentionPass::look(const torch::Tensor& q_BNTW, const torch::Tensor& k_BGSW,
                                  const ScoreForm& form) const {
  const auto allowed = mask();
  if (input_.state && input_.state->wants_attention()) {
    input_.state->look({q_BNTW, k_BGSW, allowed, score_scale(form, q_BNTW.size(3)), form.softcap});
  }
  return allowed;
}

torch::Tensor AttentionPass::attend(const torch::Tensor& q_BNTH, const torch::Tensor& k_BGSH,
                                    const torch::Tensor& v_BGSH, const ScoreForm& form) const {
  return attnlab::attend(q_BNTH, k_BGSH, v_BGSH, look(q_BNTH, k_BGSH, form), form);
}

torch::Tensor AttentionPass::weights(const torch::Tensor& q_BNTH, const torch::Tensor& k_BGSH,
                                     const ScoreForm& form) const {
  return attention_weights(q_BNTH, k_BGSH, look(q_BNTH, k_BGSH, form), form);
}

torch::Tensor AttentionPass::attend_latent(const torch::Tensor& q_BNW, size_t slot, int64_t R,
                                           const ScoreForm& form) const {
  const auto latent_BPW = input_.state->aligned(slot);
  const auto mask = look(q_BNW.unsqueeze(2), latent_BPW.narrow(1, 0, kept_).unsqueeze(1), form);
  return attnlab::attend_latent(q_BNW, latent_BPW, kept_, R, mask, form);
}

}  // namespace attnlab
