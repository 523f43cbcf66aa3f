// bench_load: how long a checkpoint takes to load, and how much memory at the peak. Also writes one to measure.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>

#include "checkpoint/checkpoint_writer.h"
#include "checkpoint/dtypes.h"
#include "model/decoder_weights.h"
#include "model/families/families.h"
#include "program.h"
#include "torch_program.h"

namespace {

using namespace attnlab;
namespace fs = std::filesystem;

struct Options {
  std::string model, write, dtype;
  double gigabytes = 1, max_shard_gb = static_cast<double>(kShardBytes) / 1e9;
  bool cold = false;
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double resident_bytes() {
  double total = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

double peak_bytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024;
}

// A LLaMA of about that many numbers, at most a third of them in the embedding and the output matrix.
DecoderConfig llama_of(double numbers) {
  DecoderConfig config;
  config.vocab_size = 32000;
  config.head_dim = 64;
  const auto embeddings = [&] { return static_cast<double>(2 * config.vocab_size * config.d_model); };
  for (config.d_model = 4096; config.d_model > 256 && embeddings() > numbers / 3;) config.d_model /= 2;
  config.n_heads = config.d_model / config.head_dim;
  config.n_kv_heads = config.n_heads / 4;
  config.d_ff = config.d_model * 11 / 4;
  // q and o, k and v, and the three matrices of the MLP
  const double layer = static_cast<double>(config.d_model * config.d_model) * (2 + 0.5 + 3 * 2.75);
  config.n_layers = std::max<int64_t>(1, std::llround((numbers - embeddings()) / layer));
  return config;
}

// One tensor at a time.
void write_random(const Options& o) {
  const auto dtype = parse_dtype(o.dtype.empty() ? "bfloat16" : o.dtype);
  if (!(o.gigabytes > 0 && o.gigabytes < 1e4))
    throw InputError({.file = "--gigabytes", .found = fmt::format("{}", o.gigabytes), .expected = "a size"});
  if (!(o.max_shard_gb * 1e9 >= 1 && o.max_shard_gb < 1e9))
    throw InputError(
        {.file = "--max-shard-gb", .found = fmt::format("{}", o.max_shard_gb), .expected = "a size"});
  const auto config = llama_of(o.gigabytes * 1e9 / static_cast<double>(c10::elementSize(dtype)));
  const auto start = std::chrono::steady_clock::now();
  torch::manual_seed(0);  // the same bytes each time
  CheckpointWriter writer(o.write, {.max_shard_bytes = static_cast<uint64_t>(o.max_shard_gb * 1e9)});
  double bytes = 0;
  const Decoder shapes(config, native_variant(config));  // its values are never touched
  for (const auto& parameter : shapes.named_parameters()) {
    const auto values = torch::empty_like(parameter.value(), dtype).normal_(0, 0.02);
    bytes += static_cast<double>(values.nbytes());
    writer.add(parameter.key(), values);
  }
  writer.finish(write_decoder_config(config, dtype_name(dtype)));
  const double seconds = seconds_since(start);
  fmt::print("wrote {:.3f} GB in {:.2f} s, {:.2f} GB/s\n", bytes / 1e9, seconds, bytes / 1e9 / seconds);
}

// Takes the weights out of the system's cache of files.
void forget_files(const fs::path& folder) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    const int file = ::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) continue;
    ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    ::close(file);
  }
}

// Reads a byte of each page, as a model that is used does.
double touch_all(const Decoder& decoder) {
  double bytes = 0;
  for (const auto& parameter : decoder.parameters()) {
    const auto* data = static_cast<const volatile char*>(parameter.data_ptr());
    for (size_t i = 0; i < parameter.nbytes(); i += 4096) (void)data[i];
    bytes += static_cast<double>(parameter.nbytes());
  }
  return bytes;
}

void measure(const Options& o) {
  const auto checkpoint = Checkpoint::open(o.model);
  const auto names = checkpoint.names();
  if (names.empty()) throw InputError({.file = o.model, .found = "no tensors", .expected = "a model"});
  const auto dtype = o.dtype.empty() ? checkpoint.dtype(names[0]) : parse_dtype(o.dtype);
  if (o.cold) forget_files(o.model);
  (void)torch::ones(1 << 20).to(torch::kBFloat16).to(torch::kFloat32).sum().item<float>();  // starts torch
  const double before = resident_bytes();
  const auto start = std::chrono::steady_clock::now();
  const auto decoder = load_decoder(checkpoint, dtype, torch::kCPU);
  const double loaded = seconds_since(start);
  const double bytes = touch_all(*decoder);
  const double read = seconds_since(start);
  const double peak = peak_bytes() - before;
  print_notes(checkpoint.notes());
  fmt::print("weights   {:.3f} GB in {}\n", bytes / 1e9, dtype_name(dtype));
  fmt::print("load      {:.3f} s, {:.3f} s until all weights were read ({:.2f} GB/s)\n", loaded, read,
             bytes / 1e9 / read);
  fmt::print("peak      {:.3f} GB above the {:.3f} GB before\n", peak / 1e9, before / 1e9);
  fmt::print("ratio     {:.3f} of the weights\n", peak / bytes);
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  TorchProgram program(
      {.name = "bench_load",
       .usage = "--model DIR | --write DIR [options]",
       .about = "Loads a checkpoint and prints the time and the peak of resident memory, or writes\n"
                "a random LLaMA in Hugging Face's layout to be measured.",
       .example = "bench_load --write /tmp/llama --gigabytes 1 && bench_load --model /tmp/llama"});
  program.option("model", o.model, "DIR", "the model to load")
      .option("write", o.write, "DIR", "the folder to write a model to")
      .option("gigabytes", o.gigabytes, "G", "about how large a model to write")
      .option("max-shard-gb", o.max_shard_gb, "G", "the largest file to write")
      .option("dtype", o.dtype, "TYPE",
              "float32, bfloat16 or float16; without it what the file has, bfloat16 when writing")
      .flag("cold", o.cold, "first take the files out of the system's cache");
  return program.run(argc, argv, [&] {
    if (o.model.empty() == o.write.empty())
      throw InputError({.file = "--model", .found = "not one of the two", .expected = "--model or --write"});
    if (o.write.empty()) {
      measure(o);
    } else {
      write_random(o);
    }
  });
}
