// bench_decode: one step of generation at a given context, against reading weights and cache once.
#include <fmt/format.h>
#include <torch/version.h>

#include <limits>

#include "cache_option.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/dtypes.h"
#include "config/node.h"
#include "measure/bench_device.h"
#include "measure/bench_models.h"
#include "measure/decode_rows.h"
#include "measure/decode_step.h"
#include "measured_file.h"
#include "model/cache_calibration.h"
#include "model/decoder_weights.h"
#include "torch_program.h"

namespace {

using namespace attnlab;

struct Options {
  std::string model, form, shape, out, cache, dtype = "bfloat16", device = "auto";
  std::vector<int64_t> contexts, batches;
  std::vector<std::string> settings;
  int64_t steps = 20, kv_lora_rank = 512, qk_rope_head_dim = 64, bits = 0, group_size = 128;
  bool no_graph = false, any_order = false;
  CacheConfig kept;  // what `cache` says

  // What a row calls the form.
  std::string title() const {
    std::string text = form;
    for (const auto& setting : settings) text += " " + setting;
    if (bits > 0) text += fmt::format(" {} bits{}", bits, any_order ? " any order" : "");
    return cache.empty() ? text : text + " " + cache;
  }
};

// Bytes per millisecond, read and written, of a copy that no cache holds.
double copy_bandwidth(torch::Device device) {
  const int64_t bytes = device.is_cuda() ? int64_t{1} << 32 : int64_t{1} << 28;
  const auto from = torch::ones({bytes}, torch::dtype(torch::kUInt8).device(device));
  auto to = torch::empty_like(from);
  const auto copy = [&] { to.copy_(from); };
  times_of(device, 1, copy);
  return 2 * static_cast<double>(bytes) / median(times_of(device, 10, copy));
}

// Times of steps in ms, and the peak of memory.
void measure(Decoder& decoder, const Options& o, DecodeRow& row) {
  const torch::Device device = decoder.device();
  restart_peak(device);
  constexpr int64_t unmeasured = 16;  // before the measured ones, a graph's trials among them
  const auto once = std::make_shared<DecodeStep>(decoder, row.batch, row.context, read_cache_plan(o.kept),
                                                 o.steps + unmeasured);
  const auto step = repeatable_step([once] { (*once)(); }, device, !o.no_graph);
  times_of(device, 3, step);
  const auto times = times_of(device, o.steps, step);
  row.fits = 1;
  row.ms = median(times);
  row.ms_min = times.front();
  row.ms_max = times.back();
  row.peak_gigabytes = device_memory(device).peak / 1e9;
}

// Where memory does not suffice, times stay NaN and `why` says it.
DecodeRow row_of(Decoder& decoder, int64_t B, int64_t context, const Options& o, double bytes_per_ms,
                 std::string& why) {
  constexpr double none = std::numeric_limits<double>::quiet_NaN();
  const double bytes = decode_bytes(decoder, B, context, o.kept), total = device_memory(decoder.device()).total;
  DecodeRow row{.context = context,
                .batch = B,
                .ms = none,
                .ms_min = none,
                .ms_max = none,
                .gigabytes = bytes / 1e9,
                .floor_ms = bytes / bytes_per_ms,
                .peak_gigabytes = none,
                .form = o.title(),
                .shape = o.shape,
                .dtype = o.dtype,
                .device = device_title(decoder.device())};
  why = "does not fit";
  if (total > 0 && bytes > total) return row;
  why = "out of memory";
  try {
    measure(decoder, o, row);
  } catch (const c10::OutOfMemoryError&) {
  }
  return row;
}

void require_form(const Options& o) {
  if (!o.model.empty()) {
    if (!o.form.empty() || !o.shape.empty() || o.bits != 0 || !o.settings.empty())
      throw InputError(BadInput{.file = "--model",
                                .found = "a folder beside --form, --shape, --set or --bits",
                                .expected = "the folder alone: it says what it is"});
    return;
  }
  require_name("--form", o.form, decode_form_names());
  parse_name<DecodeShape>("--shape", o.shape);
}

ModelForm form_of(const Options& o) {
  Node options{.kind = Node::Kind::map, .file = "--set"};
  for (const auto& setting : o.settings) {
    const auto [path, value] = parse_setting("--set", setting);
    set_path(options, path, value);
  }
  auto form = decode_form(parse_name<DecodeShape>("--shape", o.shape), o.form,
                          {.kv_lora_rank = o.kv_lora_rank, .qk_rope_head_dim = o.qk_rope_head_dim}, options);
  if (o.bits == 0) return form;
  if (auto problem = quantize_problem(o.bits, o.group_size)) {
    problem->file = problem->key == "bits" ? "--bits" : "--group-size";
    problem->key.clear();
    throw InputError(*problem);
  }
  pack_form(form, {.bits = o.bits, .group_size = o.group_size, .desc_act = o.any_order, .sym = false});
  return form;
}

// With the folder's name for the form and its family's for the shape.
std::shared_ptr<Decoder> model_decoder(Options& o, torch::ScalarType dtype, torch::Device device) {
  const auto checkpoint = Checkpoint::open(o.model);
  auto decoder = load_decoder(checkpoint, dtype, device);
  print_notes(checkpoint.notes());
  for (auto& parameter : decoder->parameters()) parameter.requires_grad_(false);
  decoder->eval();
  const auto folder = std::filesystem::path(o.model).lexically_normal();
  o.form = (folder.has_filename() ? folder : folder.parent_path()).filename().string();
  o.shape = name_of(decoder->config().family);
  return decoder;
}

void bench(Options o, int argc, char** argv) {
  require_form(o);
  if (o.contexts.empty()) o.contexts.push_back(1024);
  if (o.batches.empty()) o.batches.push_back(1);
  for (const int64_t context : o.contexts) require_range("--context", context, 1, int64_t{1} << 24);
  for (const int64_t batch : o.batches) require_range("--batch", batch, 1, int64_t{1} << 16);
  require_range("--steps", o.steps, 1);
  require_range("--kv-lora-rank", o.kv_lora_rank, 1, int64_t{1} << 16);
  require_range("--qk-rope-head-dim", o.qk_rope_head_dim, 2, int64_t{1} << 12);
  if (o.qk_rope_head_dim % 2 != 0)
    throw InputError({.file = "--qk-rope-head-dim",
                      .found = fmt::format("{}", o.qk_rope_head_dim),
                      .expected = "an even number"});
  const auto dtype = parse_dtype(o.dtype);
  const auto device = parse_device(o.device);
  o.kept = read_cache_option(o.cache);
  note_idle_cache_keys(o.kept);
  auto decoder = o.model.empty() ? nullptr : model_decoder(o, dtype, device);
  const auto form = decoder ? decoder->form() : form_of(o);
  require_cache_for(form, o.kept);
  if (o.kept.policy.policy == CachePolicyName::lazyllm)
    throw InputError(BadInput{.file = "--cache",
                              .key = "policy",
                              .found = "lazyllm",
                              .expected = "another policy: which tokens its layers run depends on the text"});

  if (!o.out.empty()) require_measured_name(o.out);
  DecodeFile kept(o.out, measured_facts(argc, argv, device));
  const double bytes_per_ms = copy_bandwidth(device);
  if (!decoder) decoder = random_decoder(form, dtype, device);
  fmt::print("{}, torch {}, {}; a copy moves {:.1f} GB/s\n\n", device_title(device), TORCH_VERSION,
             dtype_name(dtype), bytes_per_ms / 1e6);
  fmt::print("{}", decode_table_head());
  std::string why;
  for (const int64_t batch : o.batches)
    for (const int64_t context : o.contexts) {
      const DecodeRow row = row_of(*decoder, batch, context, o, bytes_per_ms, why);
      fmt::print("{}", decode_table_row(row, why));
      std::fflush(stdout);
      kept.add(row);
    }
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  TorchProgram program(
      {.name = "bench_decode",
       .usage = "--form FORM --shape SHAPE [options] | --model DIR [options]",
       .about =
           "Times one step of generation (embedding, layers, logits, greedy choice) at a fixed context, with\n"
           "random weights and caches full of random numbers, on a GPU as a CUDA graph.\n"
           "GB/step = (weights, of the embedding only the rows that are looked up + batch · (context + 1) ·\n"
           "cached numbers per token) · bytes per number; with --cache, what the policy keeps. The floor is "
           "that over the bandwidth of a large\n"
           "copy in this run, bytes read and written counted. --model takes a folder's weights instead, and\n"
           "--bits packs the form's matrices as GPTQ's layout does.",
       .example = "bench_decode --form mla_absorbed --shape small --context 128 --context 256 --batch 2"});
  program
      .option("form", o.form, "FORM",
              "mla_materialised or mla_absorbed (DeepSeek's form), gqa (the shape's own) or another variant")
      .option("shape", o.shape, "SHAPE", join(all_names<DecodeShape>()))
      .option("set", o.settings, "KEY=VALUE", "an option of the variant; may be repeated")
      .option("model", o.model, "DIR", "a model's folder, in place of a form and a shape")
      .option("bits", o.bits, "N", "matrices of N bits (2, 3, 4, 8), packed (default: whole)")
      .option("group-size", o.group_size, "N", "columns that share a scale, with --bits; -1: all")
      .flag("any-order", o.any_order, "columns of a group lie anywhere, as act_order leaves them")
      .option("context", o.contexts, "N", "tokens in the caches; may be repeated (default 1024)")
      .option("batch", o.batches, "N", "sequences; may be repeated (default 1)")
      .option("steps", o.steps, "N", "steps that are measured")
      .option("kv-lora-rank", o.kv_lora_rank, "R", "width of MLA's latent")
      .option("qk-rope-head-dim", o.qk_rope_head_dim, "N", "width of MLA's part with rotary")
      .option("out", o.out, "FILE",
              std::string("keep the rows, too, in NAME") + measurements_ending +
                  "; a file that is there keeps its other rows")
      .flag("no-graph", o.no_graph, "launch each kernel of a step");
  add_cache_option(program, o.cache);
  add_compute_options(program, o.dtype, o.device);
  return program.run(argc, argv, [&] { bench(o, argc, argv); });
}
