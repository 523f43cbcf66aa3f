#include "model/lazy_batch.h"

#include <algorithm>
#include <cmath>

#include "core/errors.h"
#include "state/policies.h"

namespace attnlab {
namespace {

torch::Tensor int64_on(const std::vector<int64_t>& values, torch::Device device) {
  return torch::tensor(values, torch::kInt64).to(device);
}

}  // namespace

LazyRow::LazyRow(Decoder& decoder, int64_t columns, int64_t chunk, const CachePlan& plan)
    : decoder_(decoder), chunk_(chunk), shares_(prune_shares(*plan.pruning, decoder.config().n_layers)) {
  CachePlan of_layers = plan;
  for (const double share : shares_) of_layers.layer_policies.push_back(layerwise_policy(share > 0));
  states_ = decoder.make_states(1, columns, of_layers);
  const size_t layers = states_.size();
  const auto options = torch::dtype(torch::kInt64).device(decoder.device());
  rotary_ = decoder.rotary_at(torch::arange(columns, options).unsqueeze(0), torch::full({1}, columns, options));
  has_.assign(layers, std::vector<bool>(static_cast<size_t>(columns)));
  waiting_.resize(layers);
}

torch::Tensor LazyRow::pass(const torch::Tensor& ids_T) {
  const int64_t T = ids_T.size(0);
  std::vector<int64_t> used;
  for (int64_t column = 0; column < seen_ + T; ++column) used.push_back(column);
  Active active{.columns = {used.end() - T, used.end()}, .x_CD = decoder_.embed(ids_T.unsqueeze(0))[0]};
  seen_ += T;
  trace_ = {};
  for (size_t layer = 0; layer < states_.size(); ++layer) {
    trace_.used.push_back(used);
    trace_.computed.push_back(active.columns);
    run_layer(layer, active, used);
    if (layer + 1 == states_.size()) break;
    if (shares_[layer] > 0) used = pruned(layer, used);
    active = next_active(layer + 1, std::move(active), used);
  }
  return decoder_.final_norm(active.x_CD[-1]);
}

void LazyRow::run_layer(size_t layer, Active& active, const std::vector<int64_t>& used) {
  const auto device = decoder_.device();
  auto open_S = torch::zeros({seen_}, torch::dtype(torch::kBool).device(device));
  open_S.index_fill_(0, int64_on(used, device), true);
  std::vector<RotaryTables> rotary;
  for (const auto& [cos, sin] : rotary_) rotary.push_back({cos.narrow(1, 0, seen_), sin.narrow(1, 0, seen_)});
  std::vector<torch::Tensor> out;
  const int64_t count = std::ssize(active.columns);
  for (int64_t begin = 0; begin < count; begin += chunk_) {
    const int64_t T = std::min(chunk_, count - begin);
    const auto first = active.columns.begin() + begin;
    const SequenceSpec spec{
        .rotary = rotary,
        .scattered = {.columns_T = int64_on({first, first + T}, device), .open_S = open_S, .S = seen_}};
    const auto x_BTD = active.x_CD.narrow(0, begin, T).unsqueeze(0);
    out.push_back(decoder_.run_layer(layer, x_BTD, decoder_.make_sequence(spec, T), &states_[layer])[0]);
  }
  active.x_CD = out.size() == 1 ? out[0] : torch::cat(out);
  for (const int64_t column : active.columns) has_[layer][static_cast<size_t>(column)] = true;
}

// Without the ⌈(|U| - 1) p⌉ tokens, the newest not among them, that its attention, on average over the heads,
// was least on. Of equal ones the later leaves.
std::vector<int64_t> LazyRow::pruned(size_t layer, const std::vector<int64_t>& used) {
  const auto scores_S = states_[layer].take_scores()[0][0].cpu();
  const auto columns_S = states_[layer].places()[0][0].cpu();
  std::vector<float> of_column(static_cast<size_t>(seen_));
  for (int64_t i = 0; i < columns_S.numel(); ++i)
    of_column[static_cast<size_t>(columns_S.const_data_ptr<int64_t>()[i])] =
        scores_S.const_data_ptr<float>()[i];
  std::vector<int64_t> others(used.begin(), used.end() - 1);
  std::stable_sort(others.begin(), others.end(), [&](int64_t a, int64_t b) {
    return of_column[static_cast<size_t>(a)] > of_column[static_cast<size_t>(b)];
  });
  others.resize(others.size() - static_cast<size_t>(pruned_tokens(std::ssize(used), shares_[layer])));
  others.push_back(used.back());
  std::sort(others.begin(), others.end());
  return others;
}

LazyRow::Active LazyRow::chosen(const Active& from, const std::vector<int64_t>& used, bool in) {
  std::vector<std::pair<int64_t, int64_t>> tokens;  // column, place in `from`
  for (size_t i = 0; i < from.columns.size(); ++i)
    if (std::binary_search(used.begin(), used.end(), from.columns[i]) == in)
      tokens.emplace_back(from.columns[i], static_cast<int64_t>(i));
  std::sort(tokens.begin(), tokens.end());
  Active out;
  std::vector<int64_t> places;
  for (const auto& [column, place] : tokens) {
    out.columns.push_back(column);
    places.push_back(place);
  }
  if (!places.empty()) out.x_CD = from.x_CD.index_select(0, int64_on(places, from.x_CD.device()));
  return out;
}

// What runs in `layer`: of the tokens that ran below it and of those that wait here, the ones that are used.
// The rest of both waits.
LazyRow::Active LazyRow::next_active(size_t layer, Active active, const std::vector<int64_t>& used) {
  Active& waiting = waiting_[layer];
  if (!waiting.columns.empty()) {
    active.columns.insert(active.columns.end(), waiting.columns.begin(), waiting.columns.end());
    active.x_CD = torch::cat({active.x_CD, waiting.x_CD});
  }
  waiting = chosen(active, used, false);
  return chosen(active, used, true);
}

int64_t LazyRow::bytes() const {
  constexpr int64_t column_bytes = 4;  // as for the tokens of a state
  int64_t total = 0;
  for (const auto& state : states_) total += state.bytes();
  for (const auto& waiting : waiting_)
    if (waiting.x_CD.defined())
      total += waiting.x_CD.numel() * waiting.x_CD.element_size() + column_bytes * std::ssize(waiting.columns);
  return total;
}

LazyBatch::LazyBatch(Decoder& decoder, const std::vector<std::vector<int64_t>>& prompts, int64_t capacity,
                     int64_t chunk, const CachePlan& plan)
    : decoder_(decoder), capacity_(capacity), chunk_(chunk), plan_(plan) {
  add(prompts);
}

void LazyBatch::add(const std::vector<std::vector<int64_t>>& prompts) {
  std::vector<int64_t> lengths;
  for (const auto& prompt : prompts) lengths.push_back(std::ssize(prompt));
  require_lasting_frequencies(decoder_, lengths, capacity_);
  for (const auto& prompt : prompts) {
    ATTNLAB_CHECK(!prompt.empty());
    rows_.emplace_back(decoder_, std::ssize(prompt) + capacity_, chunk_, plan_);
    prompts_.push_back(int64_on(prompt, decoder_.device()));
  }
}

torch::Tensor LazyBatch::prefill_from(size_t first) {
  std::vector<torch::Tensor> hidden;
  for (size_t row = first; row < rows_.size(); ++row) hidden.push_back(rows_[row].pass(prompts_[row]));
  return decoder_.logits(torch::stack(hidden));
}

torch::Tensor LazyBatch::prefill() { return prefill_from(0); }

torch::Tensor LazyBatch::extend(const torch::Tensor& tokens_BT) {
  std::vector<torch::Tensor> hidden;
  for (size_t row = 0; row < rows_.size(); ++row)
    hidden.push_back(rows_[row].pass(tokens_BT[static_cast<int64_t>(row)]));
  return decoder_.logits(torch::stack(hidden));
}

void LazyBatch::keep(const std::vector<int64_t>& rows) {
  std::vector<LazyRow> kept;
  std::vector<torch::Tensor> prompts;
  for (const int64_t row : rows) {
    kept.push_back(std::move(rows_.at(static_cast<size_t>(row))));
    prompts.push_back(prompts_.at(static_cast<size_t>(row)));
  }
  rows_ = std::move(kept);
  prompts_ = std::move(prompts);
}

torch::Tensor LazyBatch::enter(const std::vector<std::vector<int64_t>>& prompts) {
  const size_t first = rows_.size();
  add(prompts);
  return prefill_from(first);
}

int64_t LazyBatch::bytes() const {
  int64_t total = 0;
  for (const auto& row : rows_) total += row.bytes();
  return total;
}

}  // namespace attnlab
