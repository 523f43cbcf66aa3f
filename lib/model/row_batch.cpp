#include "model/row_batch.h"

#include <algorithm>

#include "attention/shapes_repeat.h"
#include "core/errors.h"

namespace attnlab {
namespace {

// Rows keep every token, batches with windows what is seen: up to so many it does not matter.
constexpr int64_t kLongWithWindow = 1024;

int64_t up_to(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

torch::TensorOptions integers(const Decoder& decoder) {
  return torch::dtype(torch::kInt64).device(decoder.device());
}

}  // namespace

std::optional<std::string> RowBatch::problem(const Decoder& decoder, const CachePlan& plan, int64_t longest) {
  if (plan.pruning || !plan.keeps_all()) return "a policy that drops tokens";
  if (plan.behind_context) return "a cache that acts behind contexts";
  if (!plan.as_computed || !plan.storage->as_computed()) return "a storage that codes tokens";
  for (const auto& layer : decoder.layers()) {
    if (fixed_numbers(layer->mixer()->state_layout()) > 0) return "layers that keep a state of fixed size";
    if (layer->mixer()->wants_rows_to_end_alike()) return "layers of scripted modules";
    const int64_t window = layer->mixer()->shape().window;
    if (window > 0 && longest > std::max(kLongWithWindow, 4 * window))
      return "windows that are short beside the text: batches keep no more than they need";
  }
  if (decoder.frequencies_of(longest) != decoder.frequencies_of(1))
    return "rotary frequencies that change with the length";
  return std::nullopt;
}

std::optional<std::string> RowBatch::recording_problem(const Decoder& decoder) {
  if (!Recorder::available(decoder.device())) return "no GPU";
  return decoder.recording_problem();
}

// Rows that have ended go on until the host looks.
int64_t RowBatch::columns_for(int64_t longest, int64_t width_step) {
  return up_to(longest + kMostSteps, std::min(width_step, kAlignedColumns));
}

RowBatch::RowBatch(Decoder& decoder, RowBatchOptions options)
    : decoder_(decoder), options_(std::move(options)) {
  // Recorded steps take kernels that make a plan for each width, and hardly care for what is masked.
  const bool records = options_.record && !recording_problem(decoder);
  if (options_.width_step == 0) options_.width_step = records ? 512 : decoder.device().is_cuda() ? 128 : 64;
  columns_ = columns_for(options_.longest, options_.width_step);
  states_ = decoder.make_states(options_.rows, columns_, {.storage = row_storage(cursor_)});
  const auto positions_1S = torch::arange(columns_, integers(decoder)).unsqueeze(0);
  rotary_ = decoder.rotary_at(positions_1S, torch::full({1}, options_.longest, integers(decoder)));
  place_tensors();
  if (options_.beginning.empty()) return;
  const auto ids_1T = torch::tensor(options_.beginning).unsqueeze(0).to(decoder.device());
  read(torch::arange(options_.rows, integers(decoder)), ids_1T,
       torch::full({1}, ids_1T.size(1), integers(decoder)), 0);
}

void RowBatch::place_tensors() {
  const int64_t R = options_.rows;
  tips_2R_ = torch::zeros({2, R}, integers(decoder_));
  first_places_R_ = torch::arange(R, integers(decoder_)) * columns_;
  chosen_KR_ = torch::zeros({kMostSteps, R}, integers(decoder_));
  step_1_ = torch::zeros({1}, integers(decoder_));
  uniforms_KR_ = torch::zeros({kMostSteps, R}, torch::dtype(torch::kFloat64).device(decoder_.device()));
  widths_.clear();
  recorder_.reset();
  if (options_.record && !recording_problem(decoder_))
    recorder_ = std::make_unique<Recorder>(decoder_.device());
}

std::vector<RotaryTables> RowBatch::tables(int64_t columns) const {
  std::vector<RotaryTables> out;
  for (const auto& [cos, sin] : rotary_) out.push_back({cos.narrow(1, 0, columns), sin.narrow(1, 0, columns)});
  return out;
}

int64_t RowBatch::width_for(int64_t columns) const {
  return std::min(columns_, up_to(columns, options_.width_step));
}

torch::Tensor RowBatch::read(const torch::Tensor& rows_E, const torch::Tensor& ids_ET,
                             const torch::Tensor& lengths_E, int64_t begin) {
  const int64_t E = ids_ET.size(0), T = ids_ET.size(1);
  cursor_->rows_E = rows_E;
  torch::Tensor last_ED;
  for (int64_t at = 0; at < T; at += options_.chunk) {
    const int64_t n = std::min(options_.chunk, T - at);
    cursor_->begin = begin + at;
    const auto hidden_EnD = decoder_.hidden(
        ids_ET.narrow(1, at, n),
        {.sequence = {.begin = begin + at, .to_come = T - at - n, .rotary = tables(begin + at + n)},
         .states = &states_});
    const auto place_E11 = (lengths_E - 1 - at).view({E, 1, 1});
    const auto here_ED =
        hidden_EnD.gather(1, place_E11.clamp(0, n - 1).expand({E, 1, hidden_EnD.size(2)})).squeeze(1);
    const auto ends_E1 = (place_E11 >= 0).squeeze(1);  // a later piece comes over an earlier one
    last_ED = last_ED.defined() ? torch::where(ends_E1, here_ED, last_ED) : here_ED;
  }
  cursor_->rows_E = torch::Tensor();
  return last_ED;
}

torch::Tensor RowBatch::enter(const std::vector<int64_t>& rows,
                              const std::vector<std::vector<int64_t>>& prompts) {
  ATTNLAB_CHECK(rows.size() == prompts.size() && !rows.empty());
  const auto begin = std::ssize(options_.beginning);
  std::vector<torch::Tensor> logits;
  for (size_t first = 0; first < prompts.size();) {
    size_t count = 0;
    int64_t T = 0;
    while (first + count < prompts.size()) {
      const int64_t longest = std::max(T, std::ssize(prompts[first + count]) - begin);
      if (count > 0 &&
          static_cast<int64_t>(count + 1) * std::min(longest, options_.chunk) > options_.pass_tokens)
        break;
      T = longest, ++count;
    }
    const auto E = static_cast<int64_t>(count);
    auto ids_ET = torch::zeros({E, T}, torch::kInt64), lengths_E = torch::zeros({E}, torch::kInt64);
    for (int64_t i = 0; i < E; ++i) {
      const auto& prompt = prompts[first + static_cast<size_t>(i)];
      const int64_t own = std::ssize(prompt) - begin;
      ATTNLAB_CHECK(own > 0 && std::ssize(prompt) < columns_);
      ids_ET[i].narrow(0, 0, own).copy_(torch::tensor(prompt).narrow(0, begin, own));
      lengths_E[i] = own;
    }
    const auto of_pass = rows.begin() + static_cast<std::ptrdiff_t>(first);
    const auto rows_E = torch::tensor(std::vector<int64_t>(of_pass, of_pass + E));
    const auto device = decoder_.device();
    logits.push_back(decoder_.logits(read(rows_E.to(device), ids_ET.to(device), lengths_E.to(device), begin)));
    first += count;
  }
  return logits.size() == 1 ? logits[0] : torch::cat(logits);
}

torch::Tensor RowBatch::grow(int64_t steps, const RowTips& tips, const torch::Tensor& uniforms_KR) {
  ATTNLAB_CHECK(steps > 0 && steps <= kMostSteps);
  ATTNLAB_CHECK(std::ssize(tips.tokens_R) == rows() && std::ssize(tips.columns_R) == rows());
  const auto [first, last] = std::minmax_element(tips.columns_R.begin(), tips.columns_R.end());
  const int64_t furthest = *last;
  ATTNLAB_CHECK(*first >= std::ssize(options_.beginning));  // what all rows share stays as it is
  tips_2R_.copy_(torch::stack({torch::tensor(tips.tokens_R), torch::tensor(tips.columns_R)}));
  if (uniforms_KR.defined()) uniforms_KR_.narrow(0, 0, steps).copy_(uniforms_KR);
  step_1_.zero_();
  for (int64_t i = 0; i < steps; ++i) step(width_for(furthest + steps));
  return chosen_KR_.narrow(0, 0, steps).to(torch::kCPU);
}

void RowBatch::step(int64_t width) {
  ++steps_;
  Width& of = widths_[width];
  if (!recorder_ || !of.ran) {
    compute(width);
    of.ran = true;
    return;
  }
  if (!of.recording) of.recording = recorder_->record([&] { compute(width); });
  of.recording->replay();
  ++replayed_;
}

void RowBatch::compute(int64_t width) {
  const ShapesRepeat repeat(recorder_ != nullptr);
  const auto tokens_R = tips_2R_.select(0, 0), columns_R = tips_2R_.select(0, 1);
  cursor_->flat_B = first_places_R_ + columns_R;
  cursor_->shown = width;
  const auto hidden_R1D =
      decoder_.hidden(tokens_R.unsqueeze(1),
                      {.sequence = {.rotary = tables(width), .ends = {columns_R, width}}, .states = &states_});
  torch::Tensor uniforms_R;
  if (options_.sampling.temperature > 0) uniforms_R = uniforms_KR_.index_select(0, step_1_).squeeze(0);
  const auto next_R = choose_tokens(decoder_.logits(hidden_R1D.select(1, 0)), options_.sampling, uniforms_R);
  chosen_KR_.index_copy_(0, step_1_, next_R.unsqueeze(0));
  tokens_R.copy_(next_R);
  columns_R.add_(1);
  step_1_.add_(1);
  cursor_->flat_B = torch::Tensor();
}

void RowBatch::keep(const std::vector<int64_t>& rows) {
  const auto index = torch::tensor(rows).to(decoder_.device());
  widths_.clear();  // recordings know where the caches were
  for (auto& state : states_) state.select_rows(index);
  options_.rows = std::ssize(rows);
  place_tensors();
}

}  // namespace attnlab
