// measure_conversion: what conversions do to a base before any training.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <sstream>

#include "config/document.h"
#include "core/interrupt.h"
#include "core/numbers.h"
#include "core/progress.h"
#include "measure/conversion_file.h"
#include "measure/conversion_rows.h"
#include "measured_file.h"
#include "torch_program.h"

namespace {

using namespace attnlab;
using Clock = std::chrono::steady_clock;

struct Options {
  BaseOptions base;
  std::string out, ranks, freqfolds, forms, device = "auto";
  std::vector<std::string> trained;
  int64_t gram_columns = 128;
};

// "conversion 7 of 46: mla_deepseek kv_lora_rank=16, 1m05s, 5m10s left".
class Progress {
 public:
  void start(size_t number, size_t of, const PlannedConversion& planned) {
    head_ = fmt::format("conversion {} of {}: {}", number, of, planned.form);
    for (const auto& setting : planned.settings) head_ += " " + setting;
    if (first_ == 0) first_ = number;
    const double seconds = passed(), done = static_cast<double>(number - first_);
    tail_ = fmt::format(", {}", format_duration(seconds));
    if (number > first_)
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
  size_t first_ = 0;  // of this call
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

// "16,32": ascending, without repetitions; empty: none.
std::vector<int64_t> read_numbers(const char* option, const std::string& text) {
  std::vector<int64_t> numbers;
  for (size_t at = 0; at < text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    const auto number = parse_number<int64_t>(text.substr(at, comma - at));
    if (!number || *number < 1 || comma + 1 == text.size())
      throw InputError(BadInput{.file = option,
                                .found = "'" + text + "'",
                                .expected = "whole numbers from 1 with commas between them"});
    numbers.push_back(*number);
    at = comma + 1;
  }
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  return numbers;
}

std::vector<std::string> read_names(const std::string& text) {
  std::vector<std::string> names;
  std::istringstream in(text);
  for (std::string name; std::getline(in, name, ',');) names.push_back(name);
  return names;
}

// Throws InputError for what is missing or out of range. Reads no file.
void check_options(const Options& o) {
  require_given("--model", o.base.model, "a model folder");
  require_given("--calibration", o.base.calibration,
                "a text: conversions are fitted to what the model says of it");
  require_measured_name(o.out);
  require_range("--tokens", o.base.rows.tokens, 1);
  require_range("--row-length", o.base.rows.row_length, 2);
  require_range("--heldout-tokens", o.base.rows.heldout_tokens, 2);
  require_range("--gram-columns", o.gram_columns, 1, 4096);
}

// All that decides what the rows are.
std::string asked_text(const Options& o, const MeasuredBase& base, const ConversionGrid& grid) {
  return fmt::format("{}\n{}\nranks {}\nfreqfolds {}\nforms {}\ntrained {}\ncolumns {}", base.name,
                     to_yaml(base.facts), fmt::join(grid.ranks, ","), fmt::join(grid.freqfolds, ","),
                     join(grid.forms, ","), join(o.trained, ","), o.gram_columns);
}

void measure(Options o, int argc, char** argv) {
  check_options(o);
  const ConversionGrid wanted{.ranks = read_numbers("--ranks", o.ranks),
                              .freqfolds = read_numbers("--freqfolds", o.freqfolds),
                              .forms = read_names(o.forms)};
  o.base.device = parse_device(o.device);
  const MeasuredBase base = read_base(o.base, wanted);
  print_notes(base.notes);
  const AttentionShape shape = base.source.config().attention_shape();
  const ConversionGrid grid = complete_grid(wanted, shape);
  FlatFields facts = measured_facts(argc, argv, base.source.devices.first());
  facts.insert(facts.end(), base.facts.begin(), base.facts.end());
  ConversionFile file(o.out, facts, asked_text(o, base, grid));

  Progress progress;
  if (file.done() < 0) {
    auto grams = converted_gram_rows(base, o.gram_columns);
    for (const auto& folder : o.trained)
      for (auto& row : trained_gram_rows(folder, base.name, o.gram_columns)) grams.push_back(std::move(row));
    const int64_t freqfold = chosen_freqfold(base, std::ref(progress));
    file.begin(freqfold, norm_rows(base, grid.freqfolds, freqfold, std::ref(progress)), std::move(grams));
  }
  const auto plan = plan_conversions(shape, grid, file.freqfold());
  for (auto i = static_cast<size_t>(file.done()); i < plan.size(); ++i) {
    progress.start(i + 1, plan.size(), plan[i]);
    file.add(conversion_rows(base, plan[i], std::ref(progress)));
  }
  print_rows(file.rows());
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  TorchProgram program(
      {.name = "measure_conversion",
       .usage = std::string("--model DIR --calibration FILE --out FILE") + measurements_ending + " [options]",
       .about =
           "Measures what each conversion does to a GQA base before any training: every stage, FreqFold,\n"
           "ranks and kinds of PCA, all forms; norms of keys and values; Gram matrices of up-projections.\n"
           "Rows are written as they are measured; started again after a kill, it goes on behind them.",
       .example =
           "measure_conversion --model data/base_small --calibration text.jsonl --out /tmp/base.measured.h5",
       .exits = "0 done, 1 failed while running, 2 bad input, 130 interrupted (the same command goes on)",
       .interrupted = "interrupted; the same command goes on from here"});
  program.option("model", o.base.model, "DIR", "the base's folder in Hugging Face's layout (required)")
      .option("calibration", o.base.calibration, "FILE",
              "text, .jsonl with \"text\", or .safetensors with calibration_ids (required)")
      .option("heldout", o.base.heldout, "FILE",
              "what to measure on; absent: the text behind that for calibration")
      .option("out", o.out, "FILE", std::string("file to write, NAME") + measurements_ending + " (required)")
      .option("name", o.base.name, "NAME", "what figures call the base; absent: its folder's name")
      .option("ranks", o.ranks, "N,N,…", "latent numbers of mla_deepseek; absent: six up to the full rank")
      .option("freqfolds", o.freqfolds, "N,N,…", "FreqFold's m; absent: powers of 2 up to head_dim / 2")
      .option("forms", o.forms, "A,B,…", "forms beside mla_deepseek; absent: all that the base can have")
      .option("tokens", o.base.rows.tokens, "N", "tokens for calibration, at most")
      .option("heldout-tokens", o.base.rows.heldout_tokens, "N", "tokens to measure on, at most")
      .option("row-length", o.base.rows.row_length, "N", "tokens of a row of text")
      .option("trained", o.trained, "DIR", "a trained model of mla_identity or mla_orthogonal; may be repeated")
      .option("gram-columns", o.gram_columns, "N", "leading columns of Gram matrices that are kept")
      .option("device", o.device, "DEVICE", "cpu, cuda, cuda:N, or auto");
  return program.run(argc, argv, [&] {
    catch_interrupts();
    measure(o, argc, argv);
  });
}
