// calibrate_cache: what a text says of a model's caches, for eval.cache.storage kvquant.
#include <fmt/format.h>

#include "checkpoint/checkpoint.h"
#include "convert/calibration_text.h"
#include "core/interrupt.h"
#include "core/progress.h"
#include "model/cache_calibration.h"
#include "model/decoder_weights.h"
#include "torch_program.h"

namespace {

using namespace attnlab;

struct Options {
  std::string model, text, out, device = "auto";
  double outliers = 0.01;
  bool alike = false;
  CacheCalibrationOptions fit;
  CalibrationOptions rows{.tokens = 16384, .row_length = 512, .heldout_tokens = 2};
};

void check_options(const Options& o) {
  require_given("--model", o.model, "a model folder");
  require_given("--calibration", o.text, "a text that is like what the model will read");
  require_given("--out", o.out, "the file to write");
  require_range("--bits", o.fit.bits, 2, 4);
  require_range("--first", o.fit.first, 0);
  require_range("--tokens", o.rows.tokens, 1);
  require_range("--row-length", o.rows.row_length, o.fit.first + 2);
  if (!(o.outliers >= 0 && o.outliers < 0.5))
    throw InputError(BadInput{.file = "--outliers",
                              .found = fmt::format("{}", o.outliers),
                              .expected = "at least 0 and less than 0.5"});
}

void calibrate(Options o) {
  check_options(o);
  o.fit.inliers = 1 - o.outliers;
  o.fit.fisher = !o.alike;
  const auto checkpoint = Checkpoint::open(o.model);
  const auto decoder = load_decoder(checkpoint, torch::kFloat32, parse_device(o.device));
  std::optional<Tokenizer> tokenizer;
  if (!o.text.ends_with(".safetensors")) {
    tokenizer = Tokenizer::load(o.model);
    print_notes(tokenizer->notes());
  }
  const auto rows =
      read_calibration(o.text, "", tokenizer ? &*tokenizer : nullptr, decoder->config().vocab_size, o.rows);
  if (!rows.calibration_NT.defined())
    throw InputError(
        BadInput{.file = o.text, .found = "no row", .expected = "a longer text, or a shorter --row-length"});
  ProgressLine line;
  const int64_t N = rows.calibration_NT.size(0);
  const auto calibration = calibrate_cache(*decoder, rows.calibration_NT, o.fit, [&](int64_t done) {
    if (interrupted()) throw Interrupted{};
    line.update(fmt::format("row {} of {}", done, N));
  });
  write_cache_calibration(o.out, calibration, {{"text_sha256", rows.sha256}});
  fmt::print("{}: {} layers, {} bits, {:g} % outliers, from {} tokens\n", o.out,
             calibration.tables.layers.size(), o.fit.bits, 100 * o.outliers, rows.calibration_NT.numel());
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  TorchProgram program(
      {.name = "calibrate_cache",
       .usage = "--model DIR --calibration FILE --out FILE [options]",
       .about =
           "Fits the levels and ranges that KVQuant codes a model's keys and values with (arXiv 2401.18079):\n"
           "keys before rotary by channel, values by token. --cache storage=kvquant,calibration=FILE and\n"
           "eval.cache.calibration read the file; they refuse another model's.",
       .example =
           "calibrate_cache --model data/base_small --calibration text.jsonl --out base.kvquant.safetensors"});
  program.option("model", o.model, "DIR", "the model's folder (required)")
      .option("calibration", o.text, "FILE",
              "text, .jsonl with \"text\", or .safetensors with calibration_ids (required)")
      .option("out", o.out, "FILE", "file to write (required)")
      .option("bits", o.fit.bits, "N", "of one number, 2 to 4")
      .option("outliers", o.outliers, "SHARE", "of the numbers that stay as computed; 0: none")
      .option("first", o.fit.first, "N", "tokens at the beginning of a row that are left out")
      .flag("alike", o.alike, "all numbers weigh alike, not as the squares of the loss's gradients")
      .option("tokens", o.rows.tokens, "N", "tokens to look at, at most")
      .option("row-length", o.rows.row_length, "N", "tokens of a row of text")
      .option("device", o.device, "DEVICE", "cpu, cuda, cuda:N, or auto");
  return program.run(argc, argv, [&] {
    catch_interrupts();
    calibrate(o);
  });
}
