#include "convert/gptq_transform.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/errors.h"
#include "model/families/families.h"
#include "quantize/packed_matrix.h"

namespace attnlab {
namespace {

std::string module_of(int64_t layer, const std::string& matrix) {
  return fmt::format("model.layers.{}.{}", layer, matrix);
}

bool has(const std::vector<int64_t>& layers, int64_t layer) {
  return std::find(layers.begin(), layers.end(), layer) != layers.end();
}

// The form with what can be packed of these layers packed. Throws InputError.
ModelForm packed_form(const ModelForm& source, const std::vector<int64_t>& layers, MatrixPacking packing) {
  if (const auto problem = quantize_problem(packing.bits, packing.group_size)) throw InputError(*problem);
  if (is_native(source) && file_tensor(source.config, "model.layers.0.self_attn.q_proj.weight").part)
    throw InputError(BadInput{.key = "to",
                              .found = fmt::format("a {}", name_of(source.config.family)),
                              .expected = "a family without fused projections: those are not written packed"});
  bool any = false;
  const ShapesOnly no_memory;
  for (int64_t layer = 0; layer < source.config.n_layers; ++layer)
    for (const auto& [name, linear] : linears_of(*make_layer(source, layer))) {
      if (!has(layers, layer) || !packing_problem(linear->in(), linear->out()).empty()) {
        packing.whole.insert(module_of(layer, name));
        continue;
      }
      any = true;
      if (packing.group_size > 0 && linear->in() > packing.group_size && linear->in() % packing.group_size != 0)
        throw InputError(BadInput{.key = "group_size",
                                  .found = fmt::format("{}", packing.group_size),
                                  .expected = fmt::format("a divisor of {}, the inputs of {}, or -1: one group",
                                                          linear->in(), module_of(layer, name))});
    }
  if (!any)
    throw InputError(BadInput{.key = "to",
                              .found = "matrices that have no place in the layout",
                              .expected = "inputs and outputs that are multiples of 32"});
  ModelForm form = source;
  form.packing = std::move(packing);
  return form;
}

// Names of a layer's matrices that the form packs.
std::vector<std::string> packed_matrices(const ModelForm& form, int64_t layer) {
  const ShapesOnly no_memory;
  std::vector<std::string> names;
  for (const auto& [name, linear] : linears_of(*make_layer(form, layer)))
    if (linear->is_packed()) names.push_back(name);
  return names;
}

// A layer on its way: tensors of the form before, those of the form after, and what is told.
struct LayerWork {
  const MatrixPacking& packing;
  TensorMap now;     // matrices that are done hold the numbers that they stand for
  TensorMap packed;  // parts of those
  LayerFacts& facts;

  void put(const std::string& matrix, const QuantizedMatrix& quantised) {
    const auto parts = pack(quantised, packing);
    const auto device = now.at(matrix + ".weight").device();
    packed[matrix + ".qweight"] = parts.qweight.to(device);
    packed[matrix + ".qzeros"] = parts.qzeros.to(device);
    packed[matrix + ".scales"] = parts.scales.to(device);
    packed[matrix + ".g_idx"] = parts.g_idx.to(device);
    now[matrix + ".weight"] = packed_weight(parts, packing, torch::kFloat32).to(device);
  }
  // All tensors of the form after.
  TensorMap result() const {
    TensorMap out = packed;
    for (const auto& [name, tensor] : now) {
      const std::string ending = ".weight";
      const bool is_packed =
          name.ends_with(ending) && packed.contains(name.substr(0, name.size() - ending.size()) + ".qweight");
      if (!is_packed) out[name] = tensor;
    }
    return out;
  }
};

// Zero points from 1: the layout's first version can't say 0 so that all readers agree.
constexpr int64_t kLeastZero = 1;

QuantizedMatrix nearest(const torch::Tensor& weight, GridOptions grid, int64_t group_size) {
  grid.least_zero = kLeastZero;
  return round_to_nearest(weight, grid, group_size);
}

class GptqTransform final : public Transform {
 public:
  GptqTransform(const ModelForm& source, const ConversionStep& step, const GptqOptions& options)
      : step_(step), options_(options) {
    const ModelForm form = packed_form(source, step.layers,
                                       {.bits = options.bits,
                                        .group_size = options.group_size,
                                        .desc_act = options.act_order,
                                        .sym = options.sym,
                                        .static_groups = options.static_groups,
                                        .true_sequential = options.true_sequential,
                                        .damping = options.damping});
    const ShapesOnly no_memory;
    for (const int64_t layer : step.layers)
      for (const auto& [name, linear] : linears_of(*make_layer(source, layer)))
        widest_ = std::max(widest_, linear->in());
    stages_ = {
        {.name = "gptq",
         .does = fmt::format("matrices of {} bits", options.bits),
         .form = form,
         .calibrated = true,
         .convert = [this, source, form](const LayerTask& task,
                                         LayerFacts& facts) { return quantise(source, form, task, facts); },
         .sees_result = true}};
  }
  const std::vector<Stage>& stages() const override { return stages_; }
  std::vector<ConversionStep> settled() const override { return {step_}; }
  // A Hessian of fewer tokens than inputs says nothing of some directions.
  int64_t numbers_to_estimate() const override { return widest_; }

 private:
  TensorMap quantise(const ModelForm& source, const ModelForm& form, const LayerTask& task,
                     LayerFacts& facts) const {
    const auto packed = packed_matrices(form, task.layer);
    if (packed.empty()) return task.before;
    LayerWork work{.packing = *form.packing, .now = task.before, .packed = {}, .facts = facts};
    const LayerStream stream = task.result->branch(source);
    auto groups = CalibrationInputs(stream, task.layer, task.before).matrix_groups();
    if (!options_.true_sequential) groups = together(groups);
    for (const auto& group : groups) {
      const auto moments = CalibrationInputs(stream, task.layer, work.now).input_moments(group);
      for (const auto& matrix : group)
        if (std::find(packed.begin(), packed.end(), matrix) != packed.end())
          quantise_matrix(work, matrix, moments, stream);
    }
    return work.result();
  }

  static std::vector<std::vector<std::string>> together(const std::vector<std::vector<std::string>>& groups) {
    std::vector<std::string> all;
    for (const auto& group : groups) all.insert(all.end(), group.begin(), group.end());
    return {all};
  }

  void quantise_matrix(LayerWork& work, const std::string& matrix, const TensorMap& moments,
                       const LayerStream& stream) const {
    const auto weight = work.now.at(matrix + ".weight").to(torch::kCPU);
    const auto found = moments.find(matrix);
    if (found == moments.end()) {  // no token came by: nothing is known of its inputs
      work.put(matrix, nearest(weight, options_.grid(), options_.group_size));
      work.facts[matrix + " without inputs"] = 1;
      return;
    }
    int64_t sequences = 0;
    for (const auto& state : stream.states()) sequences += state.size(0);
    const auto hessian = gptq_hessian(found->second, sequences);
    double damping = 0;
    const auto quantised = gptq(weight, hessian, options_, kLeastZero, &damping);
    work.put(matrix, quantised);
    const double error = half_trace_error(weight, work.now.at(matrix + ".weight").to(torch::kCPU), hessian);
    const double rounded =
        half_trace_error(weight, dequantised(nearest(weight, options_.grid(), options_.group_size)), hessian);
    const double all = half_trace_error(weight, torch::zeros_like(weight), hessian);
    work.facts[matrix + " error"] = all > 0 ? std::sqrt(error / all) : 0;
    work.facts[matrix + " of rounding"] = rounded > 0 ? std::sqrt(error / rounded) : 0;
    if (damping > options_.damping) work.facts[matrix + " damping"] = damping;
  }

  ConversionStep step_;
  GptqOptions options_;
  int64_t widest_ = 0;
  std::vector<Stage> stages_;
};

TensorMap rounded(const ModelForm& form, const RtnOptions& options, const LayerTask& task, LayerFacts& facts) {
  LayerWork work{.packing = *form.packing, .now = task.before, .packed = {}, .facts = facts};
  for (const auto& matrix : packed_matrices(form, task.layer)) {
    const auto weight = task.before.at(matrix + ".weight");
    work.put(matrix, nearest(weight, options.grid(), options.group_size));
    const auto norm = [](const torch::Tensor& x) { return x.to(torch::kFloat64).norm().item<double>(); };
    const double size = norm(weight);
    facts[matrix + " error"] = size > 0 ? norm(weight - work.now.at(matrix + ".weight")) / size : 0;
  }
  return work.result();
}

class RtnTransform final : public Transform {
 public:
  RtnTransform(const ModelForm& source, const ConversionStep& step, const RtnOptions& options) : step_(step) {
    const ModelForm form = packed_form(
        source, step.layers, {.bits = options.bits, .group_size = options.group_size, .sym = options.sym});
    stages_ = {{.name = "rtn",
                .does = fmt::format("matrices of {} bits, rounded", options.bits),
                .form = form,
                .convert = [form, options](const LayerTask& task, LayerFacts& facts) {
                  return rounded(form, options, task, facts);
                }}};
  }
  const std::vector<Stage>& stages() const override { return stages_; }
  std::vector<ConversionStep> settled() const override { return {step_}; }

 private:
  ConversionStep step_;
  std::vector<Stage> stages_;
};

}  // namespace

std::unique_ptr<Transform> make_gptq_transform(const ModelForm& source, const ConversionStep& step,
                                               const GptqOptions& options) {
  return std::make_unique<GptqTransform>(source, step, options);
}

std::unique_ptr<Transform> make_rtn_transform(const ModelForm& source, const ConversionStep& step,
                                              const RtnOptions& options) {
  return std::make_unique<RtnTransform>(source, step, options);
}

}  // namespace attnlab
