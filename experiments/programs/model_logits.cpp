// model_logits: the logits of a checkpoint for given token ids.
#include <fmt/format.h>

#include "checkpoint/checkpoint.h"
#include "core/progress.h"
#include "model/decoder_weights.h"
#include "torch_program.h"

namespace {

using namespace attnlab;

struct Options {
  std::string model, ids, out, dtype = "float32", device = "auto";
};

constexpr const char* kIds = "input_ids";

// [B, T] int64. Throws InputError on another shape or an id that the model does not have.
torch::Tensor read_ids(const std::string& path, int64_t vocab_size) {
  const auto file = SafetensorsFile::open(path);
  const auto ids = file.tensor(kIds);
  const auto refuse = [&](const std::string& found, const std::string& expected) {
    throw InputError(BadInput{.file = path, .key = kIds, .found = found, .expected = expected});
  };
  if (ids.scalar_type() != torch::kInt64 && ids.scalar_type() != torch::kInt32)
    refuse(torch::toString(ids.scalar_type()), "I64 or I32");
  if (ids.dim() != 2 || ids.numel() == 0)
    refuse(fmt::format("{} dimensions, {} ids", ids.dim(), ids.numel()), "shape [B, T], neither of them 0");
  const auto least = ids.min().item<int64_t>(), most = ids.max().item<int64_t>();
  if (least < 0 || most >= vocab_size)
    refuse(fmt::format("id {}", least < 0 ? least : most), fmt::format("ids from 0 to {}", vocab_size - 1));
  return ids.to(torch::kInt64);
}

void compute(const Options& o) {
  require_given("--model", o.model, "a model folder");
  require_given("--ids", o.ids, "a safetensors file with input_ids [B, T]");
  require_given("--out", o.out, "the file to write");
  const auto device = parse_device(o.device);
  const auto dtype = parse_dtype(o.dtype);
  const torch::NoGradGuard no_grad;
  const auto checkpoint = Checkpoint::open(o.model);
  const auto decoder = load_decoder(checkpoint, dtype, device);
  print_notes(checkpoint.notes());
  const auto ids_BT = read_ids(o.ids, decoder->config().vocab_size);
  if (const int64_t longest = decoder->config().longest_sequence(); ids_BT.size(1) > longest)
    fmt::print(stderr, "warning: {} tokens, and the model was made for {}\n", ids_BT.size(1), longest);
  // Row by row: hidden states of one sequence exist at a time, and the result needs no second copy.
  const int64_t B = ids_BT.size(0), T = ids_BT.size(1);
  int64_t broken = 0;
  auto logits_BTV = torch::empty({B, T, decoder->config().vocab_size}, torch::kFloat32);
  ProgressLine progress;
  for (int64_t b = 0; b < B; ++b) {
    const auto hidden_1TD = decoder->hidden(ids_BT.narrow(0, b, 1).to(device));
    logits_BTV[b].copy_(decoder->logits(hidden_1TD)[0]);
    broken += logits_BTV[b].numel() - logits_BTV[b].isfinite().sum().item<int64_t>();
    if (b + 1 < B) progress.update(fmt::format("{} of {} sequences", b + 1, B));
  }
  write_safetensors(o.out, {{"logits", logits_BTV}});
  if (broken > 0) fmt::print(stderr, "warning: {} of {} logits are not finite\n", broken, logits_BTV.numel());
  fmt::print("logits of {} sequence{} of {} token{} over {} ids in {}\n", B, B == 1 ? "" : "s", T,
             T == 1 ? "" : "s", logits_BTV.size(2), o.out);
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  TorchProgram program(
      {.name = "model_logits",
       .usage = "--model DIR --ids IN.safetensors --out OUT.safetensors [options]",
       .about = "Reads input_ids [B, T] and writes logits [B, T, V] in float32.",
       .example = "model_logits --model data/base_small --ids ids.safetensors --out logits.safetensors"});
  program.option("model", o.model, "DIR", "the model's folder in Hugging Face's layout (required)")
      .option("ids", o.ids, "FILE", "safetensors file with the tensor input_ids [B, T], I64 or I32 (required)")
      .option("out", o.out, "FILE", "safetensors file to write, with the tensor logits (required)");
  add_compute_options(program, o.dtype, o.device);
  return program.run(argc, argv, [&] { compute(o); });
}
