// measure_conversion: what conversions do to a base before any training.
#include <fmt/format.h>

#include <chrono>

#include "conversion_rows.h"
#include "core/interrupt.h"
#include "core/progress.h"
#include "measured_file.h"
#include "torch_program.h"

namespace {

using namespace attnlab;
using Clock = std::chrono::steady_clock;

// "conversion 7 of 46: mla_deepseek kv_lora_rank=16, 1m05s, 5m10s left".
class Progress {
 public:
  void start(size_t number, size_t of, const PlannedConversion& planned) {
    head_ = fmt::format("conversion {} of {}: {} {}", number, of, planned.form, join(planned.settings, " "));
    const double seconds = passed(), done = static_cast<double>(number - 1);
    tail_ = fmt::format(", {}", format_duration(seconds));
    if (number > 1)
      tail_ += fmt::format(", {} left", format_duration(seconds / done * static_cast<double>(of - number + 1)));
  }
  void operator()(const std::string& what, int64_t done, int64_t of) {
    if (interrupted()) throw Interrupted{};
    line_.update(head_.empty() ? fmt::format("{}: layer {} of {}", what, std::min(done + 1, of), of)
                               : head_ + tail_);
    if (head_.empty()) start_ = Clock::now();
  }

 private:
  double passed() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  ProgressLine line_;
  std::string head_, tail_;
  Clock::time_point start_ = Clock::now();
};

void print_rows(const std::vector<ConversionRow>& rows) {
  fmt::print(
      "| form | stage | options | freqfold | collapse | rank | exact | max abs. change of a logit | KL to the "
      "base | "
      "same likeliest token | perplexity | cached numbers, of the base's |\n"
      "|---|---|---|---:|---:|---:|---|---:|---:|---:|---:|---:|\n");
  const auto number = [](int64_t value) { return value > 0 ? fmt::format("{}", value) : std::string(); };
  for (const auto& row : rows)
    fmt::print("| {} | {} | {} | {} | {} | {} | {} | {:.1e} | {:.2e} | {:.1f} % | {:.3f} | {:.1f} % |\n",
               row.form, row.stage, row.options, number(row.freqfold), number(row.collapse), number(row.rank),
               row.exact ? "yes" : "no", row.max_logit_difference, row.kl, 100 * row.same_token, row.perplexity,
               100 * static_cast<double>(row.cached) / static_cast<double>(row.cached_base));
}

void measure(const MeasureOptions& o, int argc, char** argv) {
  check_options(o);
  if (o.threads > 0) at::set_num_threads(static_cast<int>(o.threads));
  const MeasuredBase base = read_base(o);
  const AttentionShape shape = base.source.config.attention_shape();
  const ConversionGrid grid = grid_of(o, shape);
  Measurements measured{.provenance = measured_facts(argc, argv, base.source.device),
                        .grams = converted_gram_rows(base, o.gram_columns)};
  for (const auto& folder : o.trained)
    for (auto& row : trained_gram_rows(folder, base.name, o.gram_columns))
      measured.grams.push_back(std::move(row));

  Progress progress;
  const int64_t freqfold = chosen_freqfold(base, std::ref(progress));
  measured.norms = norm_rows(base, grid.freqfolds, freqfold, std::ref(progress));
  const auto plan = plan_conversions(shape, grid, freqfold);
  for (size_t i = 0; i < plan.size(); ++i) {
    progress.start(i + 1, plan.size(), plan[i]);
    for (auto& row : conversion_rows(base, plan[i], std::ref(progress)))
      measured.conversions.push_back(std::move(row));
  }
  measured.provenance.insert(measured.provenance.end(), base.facts.begin(), base.facts.end());
  measured.provenance.emplace_back("freqfold", freqfold);
  write_measurements(o.out, measured);
  print_rows(measured.conversions);
}

}  // namespace

int main(int argc, char** argv) {
  MeasureOptions o;
  Program program(
      {.name = "measure_conversion",
       .usage = std::string("--model DIR --calibration FILE --out FILE") + measurements_ending + " [options]",
       .about = "Measures what each conversion does to a GQA base before any training: every stage, FreqFold,\n"
                "ranks and kinds of PCA, all forms; norms of keys and values; Gram matrices of up-projections.",
       .example =
           "measure_conversion --model data/base_small --calibration text.jsonl --out /tmp/base.measured.h5",
       .message = torch_message});
  program.option("model", o.model, "DIR", "the base's folder in Hugging Face's layout (required)")
      .option("calibration", o.calibration, "FILE",
              "text, .jsonl with \"text\", or .safetensors with calibration_ids (required)")
      .option("heldout", o.heldout, "FILE", "what to measure on; absent: the text behind that for calibration")
      .option("out", o.out, "FILE", std::string("file to write, NAME") + measurements_ending + " (required)")
      .option("name", o.name, "NAME", "what figures call the base; absent: its folder's name")
      .option("ranks", o.ranks, "N,N,…", "latent numbers of mla_deepseek; absent: six up to the full rank")
      .option("freqfolds", o.freqfolds, "N,N,…", "FreqFold's m; absent: powers of 2 up to head_dim / 2")
      .option("tokens", o.rows.tokens, "N", "tokens for calibration, at most")
      .option("heldout-tokens", o.rows.heldout_tokens, "N", "tokens to measure on, at most")
      .option("row-length", o.rows.row_length, "N", "tokens of a row of text")
      .option("trained", o.trained, "DIR", "a trained model of mla_identity or mla_orthogonal; may be repeated")
      .option("gram-columns", o.gram_columns, "N", "leading columns of Gram matrices that are kept")
      .option("device", o.device, "DEVICE", "cpu, cuda, cuda:N, or auto")
      .option("threads", o.threads, "N", "CPU threads; 0: as torch chooses");
  return program.run(argc, argv, [&] {
    catch_interrupts();
    measure(o, argc, argv);
  });
}
