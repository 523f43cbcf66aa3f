#include "attention/attention_pass.h"

#include <fmt/format.h>

#include "attention/attend_latent.h"
#include "attention/rotary.h"
#include "core/errors.h"
#include "kernels/fused.h"
#include "kernels/latent_query.h"

namespace attnlab {
namespace {

// Rows of a table [B or 1, S, H] at columns [B, K].
torch::Tensor rows_at(const torch::Tensor& table_BSH, const torch::Tensor& columns_BK) {
  const int64_t H = table_BSH.size(2), B = columns_BK.size(0), K = columns_BK.size(1);
  const auto index_BKH = columns_BK.clamp(0, table_BSH.size(1) - 1).unsqueeze(-1).expand({B, K, H});
  return table_BSH.expand({B, -1, -1}).gather(1, index_BKH);
}

// Turns by the angle `to` - `from`, tables of one shape, what was turned by `from`: cos(a - b) = cos a cos b +
// sin a sin b. A factor on the tables is on what was turned already.
RotaryTables difference(const RotaryTables& to, const RotaryTables& from) {
  const auto square = from.cos_BTH.square() + from.sin_BTH.square();
  return {(to.cos_BTH * from.cos_BTH + to.sin_BTH * from.sin_BTH) / square,
          (to.sin_BTH * from.cos_BTH - to.cos_BTH * from.sin_BTH) / square};
}

// Rotary on the numbers of a slot that hold position, x [B, heads, S, w]; tables [B·h, S, H] for h = 1 or heads
// choices apart.
torch::Tensor turn_slot(const torch::Tensor& x_BGSw, const StateSlot& slot, const RotaryTables& tables,
                        int64_t h) {
  const int64_t B = x_BGSw.size(0), S = x_BGSw.size(2), r = slot.rotated;
  const int64_t block = slot.turning_block > 0 ? slot.turning_block : r;
  const auto part = x_BGSw.narrow(3, slot.rotated_from, r).unflatten(3, {r / block, block});
  const auto heads = part.transpose(2, 3).reshape({B * h, -1, S, block});
  const auto turned = apply_rotary(heads, tables.cos_BTH, tables.sin_BTH)
                          .view({B, x_BGSw.size(1), r / block, S, block})
                          .transpose(2, 3)
                          .flatten(3);
  const int64_t behind = slot.rotated_from + r;
  return torch::cat({x_BGSw.narrow(3, 0, slot.rotated_from), turned.to(x_BGSw.scalar_type()),
                     x_BGSw.narrow(3, behind, x_BGSw.size(3) - behind)},
                    3);
}

}  // namespace

AttentionPass::AttentionPass(const MixerInput& input, int64_t window)
    : input_(input), window_(window), kept_(input.x_BTD.size(1)) {
  ATTNLAB_CHECK(input.sequence && input.sequence->T() == input.x_BTD.size(1));
  if (input.state && input.state->new_positions().defined())
    new_tables_ = tables_of(input.state->new_positions());
}

const RotaryTables& AttentionPass::new_tables() const {
  return new_tables_ ? *new_tables_ : input_.sequence->new_rotary(input_.rotary);
}

RotaryTables AttentionPass::tables_of(const torch::Tensor& positions_BS) const {
  const auto& [cos, sin] = all_tables();
  const auto& padding_B1 = input_.sequence->padding_B1();
  const auto columns = padding_B1.defined() ? positions_BS + padding_B1 : positions_BS;
  return {rows_at(cos, columns), rows_at(sin, columns)};
}

torch::Tensor AttentionPass::remember(size_t slot, const torch::Tensor& x) {
  if (!input_.state) return x;
  if (input_.state->before_rotary(slot)) return remember_before_rotary(slot, x);
  auto kept = input_.state->remember(slot, x);
  kept_ = input_.state->kept();
  const StateSlot& of = input_.state->layout()[slot];
  if (of.rotated > 0 && input_.state->turned().defined()) return anew_ = turned_anew(of, kept);
  return kept;
}

void AttentionPass::remember_latent(size_t slot, const torch::Tensor& x_BTW) {
  if (!input_.state || input_.state->before_rotary(slot) || input_.state->turned().defined()) {
    remember(slot, x_BTW);
    return;
  }
  input_.state->store(slot, x_BTW);
  kept_ = input_.state->kept();
}

void AttentionPass::write_latent(size_t slot, const torch::TensorOptions& numbers, const WriteTokens& write) {
  LayerState& state = *input_.state;
  const int64_t B = input_.x_BTD.size(0), W = state.layout().at(slot).width;
  const auto written = [&] {
    const auto token_BW = torch::empty({B, W}, numbers);
    write(token_BW, {});
    return token_BW;
  };
  const bool as_it_comes = !state.before_rotary(slot) && !state.turned().defined();
  const auto [place_P11W, rows_B] = as_it_comes ? state.place(slot, 1) : TokenPlace{};
  if (!place_P11W.defined()) return remember_latent(slot, written().unsqueeze(1));
  const auto place_PW = place_P11W.select(2, 0).select(1, 0);
  if (place_PW.scalar_type() == numbers.dtype().toScalarType()) {
    write(place_PW, rows_B);
  } else if (const auto token_BW = written().to(place_PW.scalar_type()); rows_B.defined()) {
    place_PW.index_copy_(0, rows_B, token_BW);
  } else {
    place_PW.copy_(token_BW);
  }
  state.placed(slot);
  kept_ = state.kept();
}

// Keys come turned here: they are turned back, and on where they are read.
torch::Tensor AttentionPass::remember_before_rotary(size_t slot, const torch::Tensor& x) {
  const StateSlot& of = input_.state->layout()[slot];
  const auto turned = [&](const torch::Tensor& numbers, const RotaryTables& tables, int64_t h) {
    if (numbers.dim() == 4) return turn_slot(numbers, of, tables, h);
    return merge_heads(turn_slot(split_heads(numbers, of.heads), of, tables, h));
  };
  const auto& now = new_tables();
  const RotaryTables unturned{torch::ones_like(now.cos_BTH), torch::zeros_like(now.sin_BTH)};
  const auto kept = input_.state->remember(slot, turned(x, difference(unturned, now), 1));
  kept_ = input_.state->kept();
  const auto [tables, h] = tables_by_head();
  return turned(kept, tables, h);
}

std::pair<RotaryTables, int64_t> AttentionPass::tables_by_head() const {
  const auto positions_BhS = input_.state->positions();
  const auto places_BhS = positions_BhS.defined() ? positions_BhS : input_.state->places();
  if (!places_BhS.defined() || places_BhS.size(1) == 1) return {kept_tables(), 1};
  const int64_t B = places_BhS.size(0), h = places_BhS.size(1), S = places_BhS.size(2);
  const auto flat = places_BhS.reshape({B, h * S});
  const auto& [cos, sin] = all_tables();
  const auto [cos_BKH, sin_BKH] =
      positions_BhS.defined() ? tables_of(flat) : RotaryTables{rows_at(cos, flat), rows_at(sin, flat)};
  return {{cos_BKH.reshape({B * h, S, -1}), sin_BKH.reshape({B * h, S, -1})}, h};
}

torch::Tensor AttentionPass::turned_anew(const StateSlot& slot, const torch::Tensor& kept) const {
  const auto to_BhS = input_.state->positions(), from_BhS = input_.state->turned();
  const int64_t B = to_BhS.size(0), h = to_BhS.size(1), S = to_BhS.size(2);
  const auto tables = [&](const torch::Tensor& positions_BhS) {
    const auto [cos, sin] = tables_of(positions_BhS.reshape({B, h * S}));
    return RotaryTables{cos.reshape({B * h, S, -1}), sin.reshape({B * h, S, -1})};
  };
  const auto apart = difference(tables(to_BhS), tables(from_BhS));
  if (kept.dim() == 4) return turn_slot(kept, slot, apart, h);
  return merge_heads(turn_slot(split_heads(kept, slot.heads), slot, apart, h));
}

RotaryTables AttentionPass::kept_tables() const {
  const auto& [cos, sin] = all_tables();
  if (!input_.state || !input_.state->places().defined()) {
    const int64_t first = input_.sequence->S() - kept_;
    return {cos.narrow(1, first, kept_), sin.narrow(1, first, kept_)};
  }
  const auto positions_BhS = input_.state->positions();
  const auto places_BhS = positions_BhS.defined() ? positions_BhS : input_.state->places();
  ATTNLAB_CHECK(places_BhS.size(1) == 1);  // what heads keep apart from each other is turned already
  if (positions_BhS.defined()) return tables_of(places_BhS.squeeze(1));
  return {rows_at(cos, places_BhS.squeeze(1)), rows_at(sin, places_BhS.squeeze(1))};
}

torch::Tensor AttentionPass::turn(const torch::Tensor& x_BNTH) const {
  const auto& [cos, sin] = new_tables();
  return apply_rotary(x_BNTH, cos, sin);
}

std::pair<torch::Tensor, torch::Tensor> AttentionPass::turn_and_remember(const torch::Tensor& q_BNTH,
                                                                         const torch::Tensor& k_BGTH,
                                                                         size_t slot) {
  const bool as_kept = !input_.state || !input_.state->turned().defined();
  if (input_.state && as_kept && has_kernels(q_BNTH) && !torch::GradMode::is_enabled())
    if (const auto [place_PGTH, rows_B] = input_.state->place(slot, k_BGTH.size(2)); place_PGTH.defined()) {
      const auto& [cos, sin] = new_tables();
      const auto turned_BNTH = rotate_queries_and_keys(q_BNTH, k_BGTH, place_PGTH, cos, sin, rows_B);
      const auto k_BGSH = input_.state->placed(slot);
      kept_ = input_.state->kept();
      return {turned_BNTH, k_BGSH};
    }
  const auto turned_BNTH = turn(q_BNTH);
  return {turned_BNTH, remember(slot, turn(k_BGTH))};
}

// A policy moves what is kept as soon as this layer is through: then they look at a copy.
void AttentionPass::leave(int64_t layer, const torch::Tensor& k_BGSH, const torch::Tensor& v_BGSH) {
  if (!input_.board) return;
  const bool moves = input_.state && !input_.state->keeps_all();
  *input_.board = {.layer = layer,
                   .k_BGSH = moves ? k_BGSH.clone() : k_BGSH,
                   .v_BGSH = moves ? v_BGSH.clone() : v_BGSH,
                   .mask_B1TS = mask(),
                   .new_tables = new_tables()};
}

const KvBoard& AttentionPass::left(int64_t layer) const {
  if (!input_.board || input_.board->layer != layer)
    throw RunError(
        fmt::format("nothing of layer {} is left for those that share its keys: they go in one pass, from "
                    "the first layer on",
                    layer));
  return *input_.board;
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

namespace {

// In float32 at least, under autocast, too. Of the keys there is one such copy, from the first question on.
Looked looked_at(const torch::Tensor& q_BNTW, const torch::Tensor& k_BGSW, const torch::Tensor& mask_B1TS,
                 const ScoreForm& form) {
  const auto wide = [](const torch::Tensor& x) { return x.element_size() < 4 ? x.to(torch::kFloat32) : x; };
  const int64_t T = q_BNTW.size(2), S = k_BGSW.size(2);
  return {.B = q_BNTW.size(0),
          .N = q_BNTW.size(1),
          .T = T,
          .S = S,
          .weights = [=, keys = torch::Tensor()](int64_t first, int64_t count) mutable {
            const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
            if (!keys.defined()) keys = wide(k_BGSW);
            auto mask = mask_B1TS.defined() ? mask_B1TS.narrow(-2, first, count) : torch::Tensor();
            if (!mask.defined() && T > 1)
              mask = torch::ones({count, S}, keys.options().dtype(torch::kBool)).tril(first + S - T);
            return attention_weights(wide(q_BNTW.narrow(2, first, count)), keys, mask, form);
          }};
}

}  // namespace

torch::Tensor AttentionPass::look(const torch::Tensor& q_BNTW, const torch::Tensor& k_BGSW,
                                  const ScoreForm& form) const {
  const auto allowed = mask();
  if (input_.state && input_.state->wants_attention()) {
    input_.state->look(looked_at(q_BNTW, k_BGSW, allowed, form));
  }
  return allowed;
}

torch::Tensor AttentionPass::attend(const torch::Tensor& q_BNTH, const torch::Tensor& k_BGSH,
                                    const torch::Tensor& v_BGSH, const ScoreForm& form) const {
  // Without a state all of a row's columns are there, in their order.
  return attnlab::attend(q_BNTH, k_BGSH, v_BGSH, look(q_BNTH, k_BGSH, form), form,
                         {.causal = !input_.state, .window = window_});
}

torch::Tensor AttentionPass::weights(const torch::Tensor& q_BNTH, const torch::Tensor& k_BGSH,
                                     const ScoreForm& form) const {
  return attention_weights(q_BNTH, k_BGSH, look(q_BNTH, k_BGSH, form), form);
}

torch::Tensor AttentionPass::attend_latent(const torch::Tensor& q_BNW, size_t slot, int64_t R,
                                           const ScoreForm& form) const {
  if (!anew_.defined() && !input_.state->wants_attention())
    if (const auto coded = input_.state->coded(slot); coded && fits_latent_query(q_BNW, *coded))
      return attnlab::attend_latent(q_BNW, *coded, kept_, mask(), form);
  const auto latent_BPW = anew_.defined() ? anew_ : input_.state->aligned(slot);
  const auto mask = look(q_BNW.unsqueeze(2), latent_BPW.narrow(1, 0, kept_).unsqueeze(1), form);
  return attnlab::attend_latent(q_BNW, latent_BPW, kept_, R, mask, form);
}

}  // namespace attnlab
