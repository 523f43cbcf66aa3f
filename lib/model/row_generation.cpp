#include "model/row_generation.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include "core/errors.h"
#include "model/generated_row.h"
#include "model/row_batch.h"

namespace attnlab {
namespace {

// Shorter ones are not worth a pass of their own.
constexpr int64_t kShortestBeginning = 16;

// What all prompts begin with; each has a token behind it.
std::vector<int64_t> common_beginning(const std::vector<std::vector<int64_t>>& prompts) {
  if (prompts.size() < 2) return {};
  std::vector<int64_t> common = prompts[0];
  for (const auto& prompt : prompts) {
    common.resize(std::min(common.size(), prompt.size() - 1));
    common.resize(static_cast<size_t>(std::mismatch(common.begin(), common.end(), prompt.begin()).first -
                                      common.begin()));
  }
  return std::ssize(common) < kShortestBeginning ? std::vector<int64_t>{} : common;
}

int64_t longest_of(const std::vector<std::vector<int64_t>>& prompts, const GenerateOptions& options) {
  int64_t longest = 0;
  for (const auto& prompt : prompts) longest = std::max(longest, std::ssize(prompt));
  return longest + options.max_new_tokens;
}

class RowGeneration {
 public:
  RowGeneration(Decoder& decoder, const std::vector<std::vector<int64_t>>& prompts,
                const GenerateOptions& options)
      : decoder_(decoder),
        prompts_(prompts),
        options_(options),
        device_(decoder.device()),
        rows_(options.batch_rows > 0 ? std::min(options.batch_rows, prompts.size()) : prompts.size()),
        outputs_(prompts.size()),
        beginning_(options.share_beginning ? common_beginning(prompts) : std::vector<int64_t>{}),
        batch_(decoder, {.rows = std::ssize(rows_),
                         .longest = longest_of(prompts, options),
                         .chunk = options.prefill_chunk,
                         .pass_tokens = options.pass_tokens,
                         .beginning = beginning_,
                         .sampling = options.sampling,
                         .record = options.record_steps,
                         .width_step = options.width_step}) {}

  std::vector<std::vector<int64_t>> run() {
    fill();
    while (active() > 0) {
      grow();
      drop_ended();
      fill();
      shrink();
    }
    if (options_.report)
      *options_.report = {.in_rows = true,
                          .why_not = options_.record_steps ? RowBatch::recording_problem(decoder_).value_or("")
                                                           : "not asked for",
                          .shared_tokens = std::ssize(beginning_),
                          .steps = batch_.steps(),
                          .recorded_steps = batch_.replayed(),
                          .prefill_seconds = prefill_seconds_};
    return std::move(outputs_);
  }

 private:
  bool draws() const { return options_.sampling.temperature > 0; }
  size_t active() const { return rows_.size() - free_places().size(); }
  std::vector<int64_t> free_places() const {
    std::vector<int64_t> free;
    for (size_t r = 0; r < rows_.size(); ++r)
      if (!rows_[r]) free.push_back(static_cast<int64_t>(r));
    return free;
  }

  // Prompts that wait take free places, several at a time. Those that enter may end with their first token.
  void fill() {
    for (;;) {
      auto places = free_places();
      const size_t waiting = prompts_.size() - next_, few = std::max<size_t>(1, rows_.size() / 16);
      if (waiting == 0 || places.size() < std::min(few, waiting)) return;
      places.resize(std::min(places.size(), waiting));
      enter(places);
      drop_ended();
    }
  }

  void enter(const std::vector<int64_t>& places) {
    const auto start = std::chrono::steady_clock::now();
    std::vector<std::vector<int64_t>> entering;
    std::vector<double> uniforms;
    for (const int64_t place : places) {
      auto& row = rows_[static_cast<size_t>(place)].emplace(options_, next_);
      entering.push_back(prompts_[next_++]);
      if (draws()) uniforms.push_back(row.uniform());
    }
    const auto logits = batch_.enter(places, entering);
    const auto uniforms_B = draws() ? torch::tensor(uniforms, torch::kFloat64).to(device_) : torch::Tensor();
    const auto tokens_B = choose_tokens(logits, options_.sampling, uniforms_B).to(torch::kCPU);
    // The device is done: the tokens are here.
    prefill_seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    for (size_t i = 0; i < places.size(); ++i)
      rows_[static_cast<size_t>(places[i])]->take(tokens_B.const_data_ptr<int64_t>()[i], options_, outputs_);
  }

  // As many steps as some row still needs. Rows that end before the others go on unheard.
  void grow() {
    const int64_t R = std::ssize(rows_);
    RowTips tips{.tokens_R = std::vector<int64_t>(rows_.size()),
                 .columns_R = std::vector<int64_t>(rows_.size(), std::ssize(beginning_))};
    int64_t needed = 0;
    for (size_t r = 0; r < rows_.size(); ++r) {
      if (!rows_[r]) continue;
      tips.tokens_R[r] = rows_[r]->token();
      tips.columns_R[r] = std::ssize(prompts_[rows_[r]->prompt()]) + rows_[r]->produced() - 1;
      needed = std::max(needed, options_.max_new_tokens - rows_[r]->produced());
    }
    const int64_t steps = std::min(needed, steps_at_a_time());
    torch::Tensor uniforms_KR;
    if (draws()) {
      uniforms_KR = torch::zeros({steps, R}, torch::kFloat64);
      for (int64_t k = 0; k < steps; ++k)
        for (size_t r = 0; r < rows_.size(); ++r)
          if (rows_[r]) uniforms_KR.data_ptr<double>()[k * R + static_cast<int64_t>(r)] = rows_[r]->uniform();
    }
    const auto chosen_KR = batch_.grow(steps, tips, uniforms_KR);
    for (int64_t k = 0; k < steps; ++k)
      for (size_t r = 0; r < rows_.size(); ++r)
        if (rows_[r] && !rows_[r]->ended())
          rows_[r]->take(chosen_KR.const_data_ptr<int64_t>()[k * R + static_cast<int64_t>(r)], options_,
                         outputs_);
  }

  // On a CPU a step that nobody needs costs more than a look.
  int64_t steps_at_a_time() const {
    return options_.steps_at_a_time > 0 ? options_.steps_at_a_time
           : device_.is_cuda()          ? RowBatch::kMostSteps
                                        : 1;
  }

  void drop_ended() {
    for (auto& row : rows_)
      if (row && row->ended()) row.reset();
  }

  // Once nobody waits: a smaller batch costs a copy of the caches and, on a GPU, new recordings.
  void shrink() {
    const size_t left = active(), size = rows_.size();
    if (next_ < prompts_.size() || left == 0 || left == size) return;
    if (device_.is_cuda() ? 2 * left > size : 4 * left > 3 * size) return;
    std::vector<int64_t> kept;
    std::vector<std::optional<GeneratedRow>> rows;
    for (size_t r = 0; r < size; ++r) {
      if (!rows_[r]) continue;
      kept.push_back(static_cast<int64_t>(r));
      rows.push_back(std::move(rows_[r]));
    }
    rows_ = std::move(rows);
    batch_.keep(kept);
  }

  Decoder& decoder_;
  const std::vector<std::vector<int64_t>>& prompts_;
  const GenerateOptions& options_;
  torch::Device device_;
  std::vector<std::optional<GeneratedRow>> rows_;  // by place
  std::vector<std::vector<int64_t>> outputs_;
  std::vector<int64_t> beginning_;
  RowBatch batch_;
  size_t next_ = 0;
  double prefill_seconds_ = 0;
};

}  // namespace

std::optional<std::string> rows_problem(const Decoder& decoder,
                                        const std::vector<std::vector<int64_t>>& prompts,
                                        const GenerateOptions& options) {
  if (!options.context_tokens.empty()) return "prompts whose contexts stand apart";
  return RowBatch::problem(decoder, options.cache, longest_of(prompts, options));
}

std::vector<std::vector<int64_t>> generate_in_rows(Decoder& decoder,
                                                   const std::vector<std::vector<int64_t>>& prompts,
                                                   const GenerateOptions& options) {
  ATTNLAB_CHECK(!rows_problem(decoder, prompts, options));
  return RowGeneration(decoder, prompts, options).run();
}

}  // namespace attnlab
