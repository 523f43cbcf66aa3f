// Weight quantisation: single matrices, packed tensors and whole checkpoints (crosscheck.h).
#include <fmt/format.h>

#include "checkpoint/checkpoint.h"
#include "crosscheck/crosscheck.h"
#include "model/decoder_weights.h"
#include "quantize/packed_matrix.h"

namespace attnlab {
namespace {

using nlohmann::json;

// A case of a file that holds many: its facts, with the file's own behind them.
struct MatrixCase {
  const CaseFile& file;
  std::string name;
  const json& facts;

  template <class T>
  T fact(std::initializer_list<const char*> keys, T fallback) const {
    for (const char* key : keys)
      for (const json* of : {&facts, &file.facts})
        if (const auto found = of->find(key); found != of->end()) return found->get<T>();
    return fallback;
  }
  torch::Tensor tensor(const std::string& part, torch::ScalarType dtype) const {
    return file.tensor(name + "/" + part, dtype);
  }
  // Of the case itself, or of the file.
  torch::Tensor input(const std::string& part, torch::ScalarType dtype = torch::kFloat32) const {
    return file.has(name + "/" + part) ? tensor(part, dtype) : file.tensor(part, dtype);
  }
  bool has(const std::string& part) const { return file.has(name + "/" + part); }
};

// As the public code that made the cases.
GptqOptions options_of(const MatrixCase& c) {
  return {.bits = c.fact<int64_t>({"bits"}, 4),
          .group_size = c.fact<int64_t>({"group_size"}, -1),
          .sym = c.fact({"sym"}, false),
          .act_order = c.fact({"act_order", "act"}, false),
          .static_groups = c.fact({"static", "static_groups"}, false),
          .mse = c.fact({"mse"}, false),
          .halve_nonnegative = true,
          .damping = c.fact({"damp"}, 0.01),
          .block = c.fact<int64_t>({"block", "blocksize"}, 128)};
}

QuantizedMatrix of_file(const MatrixCase& c, const torch::Tensor& g_idx) {
  return {.ints_OI = c.tensor("ints", torch::kUInt8),
          .scales_OC = c.tensor("scales", torch::kFloat32),
          .zeros_OC = c.tensor("zeros", torch::kFloat32),
          .g_idx_I = g_idx};
}

// The words of their integers are theirs, and read as their integers.
void check_packed(const MatrixCase& c, const QuantizedMatrix& theirs, const GptqOptions& o, CaseCheck& check) {
  if (!c.has("packed/qweight")) return;
  const MatrixPacking packing{
      .bits = o.bits, .group_size = o.group_size, .desc_act = o.act_order, .sym = o.sym};
  const auto ours = pack(theirs, packing);
  const PackedMatrix file{.qweight = c.tensor("packed/qweight", torch::kInt32),
                          .qzeros = c.tensor("packed/qzeros", torch::kInt32),
                          .scales = c.tensor("packed/scales", torch::kHalf),
                          .g_idx = c.tensor("packed/g_idx", torch::kInt32)};
  check.equal("packed/qweight", ours.qweight, file.qweight);
  check.equal("packed/qzeros", ours.qzeros, file.qzeros);
  check.compare("packed/scales", ours.scales, file.scales, {});
  check.equal("packed/g_idx", ours.g_idx, file.g_idx);
  const auto read = unpack(file, packing);
  check.equal("ints read back", read.ints_OI, theirs.ints_OI);
  check.equal("zero points read back", read.zeros_OC, theirs.zeros_OC);
  auto halved = theirs;
  halved.scales_OC = theirs.scales_OC.to(torch::kHalf).to(torch::kFloat32);
  check.compare("packed weights", packed_weight(file, packing, torch::kFloat32), dequantised(halved), {});
}

// Scales hang on the integers before them: those of rows whose integers agree are compared, and each first one.
void check_scales(const QuantizedMatrix& ours, const QuantizedMatrix& theirs, CaseCheck& check) {
  const auto same_O = (ours.ints_OI == theirs.ints_OI).all(1);
  check.compare("scales", ours.scales_OC.index({same_O}), theirs.scales_OC.index({same_O}), {.relative = 1e-5});
  check.compare("zero points", ours.zeros_OC.index({same_O}), theirs.zeros_OC.index({same_O}), {});
}

void check_gptq_case(const MatrixCase& c, CaseCheck& check) {
  const GptqOptions o = options_of(c);
  const auto weight = c.input("weight"), inputs = c.input("inputs", torch::kFloat64);
  const auto flat = inputs.flatten(0, -2);
  const auto hessian = gptq_hessian(flat.t().matmul(flat), inputs.size(0));
  check.compare("hessian", hessian, c.input("hessian"), {.relative = 1e-5});
  const auto ours = gptq(weight, c.input("hessian"), o);
  const auto theirs = of_file(c, c.tensor("g_idx", torch::kInt32));
  check.equal("ints", ours.ints_OI, theirs.ints_OI, 0.02);
  check.equal("g_idx", ours.g_idx_I, theirs.g_idx_I);
  check_scales(ours, theirs, check);
  check.compare("dequantised", dequantised(theirs), c.tensor("dequantised", torch::kFloat32),
                {.relative = 1e-6});
  const double error = half_trace_error(weight, dequantised(ours), hessian);
  if (c.facts.contains("half_trace_error"))
    check.compare("half_trace_error", error, c.facts.at("half_trace_error").get<double>(), {.relative = 0.01});
  const auto nearest = dequantised(round_to_nearest(weight, o.grid(), o.group_size));
  check.expect("no worse than round to nearest", error <= half_trace_error(weight, nearest, hessian));
  check_packed(c, theirs, o, check);
}

void check_nearest_case(const MatrixCase& c, CaseCheck& check) {
  const GptqOptions o = options_of(c);
  const auto weight = c.input("weight");
  const auto ours = round_to_nearest(weight, o.grid(), o.group_size);
  const auto theirs = of_file(c, ours.g_idx_I);
  check.compare("scales", ours.scales_OC, theirs.scales_OC, {.relative = 1e-6});
  check.compare("zero points", ours.zeros_OC, theirs.zeros_OC, {});
  // Halves may go either way: there w / scale lies between two numbers.
  const auto steps = weight / ours.scales_OC.index_select(1, ours.g_idx_I.to(torch::kInt64));
  const auto tie = ((steps - steps.floor()) - 0.5).abs() < 1e-4;
  check.equal("ints", ours.ints_OI.masked_fill(tie, 0), theirs.ints_OI.masked_fill(tie, 0));
  if (c.facts.contains("half_trace_error"))
    check.compare("half_trace_error", half_trace_error(weight, dequantised(ours), c.input("hessian")),
                  c.facts.at("half_trace_error").get<double>(), {.relative = 0.01});
}

// What a zero point of 0 becomes in the first layout, and what a reader makes of it that does not mask.
void check_zero_point(const CaseFile& file, CaseCheck& check) {
  const auto weight = file.tensor("weight", torch::kFloat32);
  const PackedMatrix packed{.qweight = file.tensor("packed/qweight", torch::kInt32),
                            .qzeros = file.tensor("packed/qzeros", torch::kInt32)};
  const MatrixPacking packing{
      .bits = 32 * packed.qweight.size(0) / weight.size(1), .group_size = -1, .sym = false};
  const GridOptions grid{.bits = packing.bits, .sym = false};
  const auto ours = round_to_nearest(weight, grid, -1);
  check.compare("scales", ours.scales_OC, file.tensor("scales"), {.relative = 1e-6});
  check.compare("zero points", ours.zeros_OC, file.tensor("zeros"), {});
  check.compare("dequantised", dequantised(ours), file.tensor("dequantised"), {.relative = 1e-6});
  const auto words = pack(ours, packing);
  check.equal("packed/qweight", words.qweight, packed.qweight);
  check.equal("packed/qzeros", words.qzeros, packed.qzeros);
  auto unmasked = unpack(words, packing);
  check.equal("zero points read back", unmasked.zeros_OC, file.tensor("zeros"));
  unmasked.zeros_OC.masked_fill_(unmasked.zeros_OC == 0, int64_t{1} << packing.bits);
  check.compare("read without a mask", dequantised(unmasked), file.tensor("read_back"), {.relative = 1e-6});
  auto raised = grid;
  raised.least_zero = 1;
  check.expect("none is written", !(round_to_nearest(weight, raised, -1).zeros_OC < 1).any().item<bool>());
}

// The reference software keeps rotary frequencies in a buffer that goes to half precision with the model and
// comes back to float32 rounded: its logits are those of such frequencies. Ours are float32's own.
RotaryTables tables_as_stored(const DecoderConfig& config, int64_t T, torch::ScalarType stored) {
  const int64_t H = config.turning_dim();
  const auto exponents = torch::arange(0, H, 2, torch::kFloat32) / static_cast<double>(H);
  const auto frequencies = torch::pow(config.rope_theta, -exponents).to(stored).to(torch::kFloat32);
  const auto angles = torch::outer(torch::arange(T, torch::kFloat32), frequencies);
  const auto both_1TH = torch::cat({angles, angles}, -1).unsqueeze(0);
  return {both_1TH.cos(), both_1TH.sin()};
}

void check_packed_checkpoint(const std::filesystem::path& folder, CaseCheck& check) {
  const auto checkpoint = Checkpoint::open(folder);
  const auto reference = SafetensorsFile::open(folder / "reference.safetensors");
  const auto form = read_checkpoint_form(checkpoint);
  if (!form.packing) return check.not_checked("its config.json names no quantised weights");
  const torch::NoGradGuard no_grad;
  const auto decoder = load_decoder(checkpoint, torch::kFloat32, torch::kCPU);
  const auto ids = reference.tensor("input_ids");
  const auto tables = tables_as_stored(form.config, ids.size(1), checkpoint.dtype("model.embed_tokens.weight"));
  const auto logits = decoder->logits(decoder->hidden(ids, {.sequence = {.rotary = {tables}}}));
  check.compare("logits", logits, reference.tensor("logits"), {.absolute = 1e-4});
  const std::string prefix = "dequantised/", ending = ".weight";
  for (const auto& name : reference.names()) {
    if (!name.starts_with(prefix)) continue;
    const auto module = name.substr(prefix.size(), name.size() - prefix.size() - ending.size());
    const PackedMatrix packed{.qweight = checkpoint.tensor(module + ".qweight"),
                              .qzeros = checkpoint.tensor(module + ".qzeros"),
                              .scales = checkpoint.tensor(module + ".scales"),
                              .g_idx = checkpoint.tensor(module + ".g_idx")};
    check.compare(name, packed_weight(packed, *form.packing, torch::kFloat32), reference.tensor(name),
                  {.relative = 1e-6});
    const auto again = pack(unpack(packed, *form.packing), *form.packing);
    check.equal(module + ".qweight, written again", again.qweight, packed.qweight);
    check.equal(module + ".qzeros, written again", again.qzeros, packed.qzeros);
  }
}

}  // namespace

void check_gptq(const std::filesystem::path& folder, const CaseSink& done) {
  for (const auto& file : find_case_files(folder)) {
    if (file.has("packed/qweight")) {
      done(check_case(file.name, [&](CaseCheck& check) { check_zero_point(file, check); }));
      continue;
    }
    if (!file.facts.contains("cases")) {
      done(check_case(file.name, [](CaseCheck& check) { check.not_checked("it names no cases"); }));
      continue;
    }
    for (const auto& [name, facts] : file.facts.at("cases").items()) {
      const MatrixCase c{.file = file, .name = name, .facts = facts};
      done(check_case(file.name + "/" + name, [&](CaseCheck& check) {
        if (!c.has("ints")) return check.not_checked("no integers to compare with");
        return name.starts_with("rtn_") ? check_nearest_case(c, check) : check_gptq_case(c, check);
      }));
    }
  }
  for (const auto& path : find_case_checkpoints(folder))
    done(check_case(std::filesystem::relative(path, folder).string(),
                    [&](CaseCheck& check) { check_packed_checkpoint(path, check); }));
}

}  // namespace attnlab
