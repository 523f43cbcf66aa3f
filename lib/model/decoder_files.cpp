// Decoders in files: the part of decoder_weights.h that reads checkpoints and names their tensors.
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "attention/side_by_side.h"
#include "core/errors.h"
#include "core/json.h"
#include "model/decoder_weights.h"
#include "model/families/families.h"
#include "model/surplus_tensors.h"
#include "quantize/packed_checks.h"

namespace attnlab {
namespace {

using Shapes = std::map<std::string, std::vector<int64_t>>;
constexpr const char* kLayers = "model.layers.";

// Names and shapes of what `make` builds, without its memory. Sizes come from a file that may be hostile.
template <class Make>
Shapes shapes_of(const Checkpoint& checkpoint, const Make& make) {
  Shapes shapes;
  try {
    const ShapesOnly no_memory;
    for (const auto& parameter : make().named_parameters())
      shapes[parameter.key()] = parameter.value().sizes().vec();
  } catch (const c10::Error&) {
    throw InputError(BadInput{.file = (checkpoint.folder() / "config.json").string(),
                              .found = "sizes whose product overflows",
                              .expected = "the shapes of the tensors beside it"});
  }
  return shapes;
}

Shapes parameter_shapes(const ModelForm& form, const Checkpoint& checkpoint) {
  return shapes_of(checkpoint, [&] { return Decoder(form); });
}

// Where a parameter stands: by the family's names, or in the own layout by the decoder's. Of two tied matrices
// some writers keep the output matrix.
FileTensor place_of(const Checkpoint& checkpoint, const ModelForm& form, const std::string& name) {
  const auto place = [&](const std::string& of) {
    return is_native(form) ? file_tensor(form.config, of) : FileTensor{.name = of};
  };
  if (name == kEmbeddingTensor && form.config.tie_embeddings && !checkpoint.has(place(name).name) &&
      checkpoint.has(place(kOutputTensor).name))
    return place(kOutputTensor);
  return place(name);
}

// Of a packed matrix the parts keep their formats, whatever the others are read as: scales of half precision,
// which the layout has and kernels take, or float32, which holds any other.
torch::ScalarType packed_type(const Checkpoint& checkpoint, const std::string& name) {
  if (is_packed_integer(name)) return torch::kInt32;
  return checkpoint.dtype(name) == torch::kHalf ? torch::kHalf : torch::kFloat32;
}

// The shapes that the files have: parts of one tensor are stacked by rows.
Shapes file_shapes(const Checkpoint& checkpoint, const ModelForm& form, const Shapes& parameters) {
  Shapes shapes;
  for (const auto& [name, shape] : parameters) {
    const auto [place, isnew] = shapes.emplace(place_of(checkpoint, form, name).name, shape);
    if (!isnew) place->second[0] += shape[0];
  }
  return shapes;
}

// A router that computes in float32 is held so, too.
torch::ScalarType held_type(const Checkpoint& checkpoint, const ModelForm& form, const std::string& name,
                            torch::ScalarType dtype) {
  if (form.packing && is_packed_part(name)) return packed_type(checkpoint, name);
  const bool of_router = name.ends_with(".gate.weight") || name.ends_with(".e_score_correction_bias");
  const bool wide = of_router && traits_of(form.config.family).float32_router;
  return wide ? c10::promoteTypes(dtype, torch::kFloat32) : dtype;
}

std::vector<std::string> keys_of(const Shapes& shapes) {
  std::vector<std::string> names;
  for (const auto& [name, unused] : shapes) names.push_back(name);
  return names;
}

[[noreturn]] void refuse_tensor(const Checkpoint& checkpoint, const Shapes& shapes, const std::string& name,
                                const std::string& found, const std::string& expected) {
  throw InputError(BadInput{.file = checkpoint.folder().string(),
                            .key = name,
                            .found = found,
                            .expected = expected,
                            .nearest = shapes.count(name) ? "" : nearest_printable(name, keys_of(shapes))});
}

// Each of these tensors is there with its shape.
void check_present(const Checkpoint& checkpoint, const Shapes& shapes) {
  for (const auto& [name, shape] : shapes) {
    const auto wanted = fmt::format("a tensor of shape [{}]", fmt::join(shape, ", "));
    if (!checkpoint.has(name)) refuse_tensor(checkpoint, shapes, name, "no such tensor", wanted);
    if (checkpoint.shape(name) != shape)
      refuse_tensor(checkpoint, shapes, name,
                    fmt::format("shape [{}]", fmt::join(checkpoint.shape(name), ", ")), wanted);
    const bool integers = is_packed_integer(name);
    if (integers && checkpoint.dtype(name) != torch::kInt32)
      refuse_tensor(checkpoint, shapes, name, torch::toString(checkpoint.dtype(name)), wanted + " of Int");
    if (!integers && !at::isFloatingType(checkpoint.dtype(name)))
      refuse_tensor(checkpoint, shapes, name, "whole numbers", wanted + " of floating-point numbers");
  }
}

// Every tensor that the form implies is there with its shape, and no other that could matter.
void check_tensors(const Checkpoint& checkpoint, const ModelForm& form, const Shapes& parameters) {
  const Shapes shapes = file_shapes(checkpoint, form, parameters);
  std::vector<std::string> surplus;
  for (const auto& name : checkpoint.names())
    if (!shapes.count(name)) surplus.push_back(name);
  check_index(checkpoint, form.config, keys_of(shapes));
  check_present(checkpoint, shapes);
  check_surplus(checkpoint, form.config, keys_of(shapes), surplus);
}

// Parameters by the decoder's names, each tensor of the files read once: of fused ones they are views.
template <class Read>
TensorMap gather(const Checkpoint& checkpoint, const ModelForm& form, const Shapes& parameters,
                 const Read& read) {
  TensorMap weights, whole;
  for (const auto& [name, shape] : parameters) {
    const FileTensor place = place_of(checkpoint, form, name);
    if (!place.part) {
      weights[name] = read(place.name);
      continue;
    }
    if (!whole.count(place.name)) whole[place.name] = read(place.name);
    weights[name] = whole[place.name].narrow(0, place.first_row, shape[0]);
  }
  return weights;
}

// Refuses packed matrices that can't be meant, and says where readers differ.
void check_packed(const Checkpoint& checkpoint, const ModelForm& form, const TensorMap& weights) {
  if (!form.packing) return;
  for (const auto& [name, qweight] : weights) {
    const std::string ending = ".qweight";
    if (!name.ends_with(ending)) continue;
    const auto part = [&](const char* of) {
      return weights.at(name.substr(0, name.size() - ending.size()) + "." + of);
    };
    const PackedMatrix packed{
        .qweight = qweight, .qzeros = part("qzeros"), .scales = part("scales"), .g_idx = part("g_idx")};
    if (auto problem = packed_problem(packed, *form.packing)) {
      problem->file = checkpoint.folder().string();
      problem->key = name.substr(0, name.size() - ending.size() + 1) + problem->key;
      throw InputError(*problem);
    }
    if (has_ambiguous_zeros(packed, *form.packing))
      checkpoint.note(
          fmt::format("{}: zero points of 0 in checkpoint_format gptq: read as 0, which AutoGPTQ reads as {}",
                      checkpoint.folder().string(), int64_t{1} << form.packing->bits));
  }
}

TensorMap read_weights(const Checkpoint& checkpoint, const ModelForm& form, torch::ScalarType dtype) {
  const Shapes parameters = parameter_shapes(form, checkpoint);
  check_tensors(checkpoint, form, parameters);
  TensorMap weights = gather(checkpoint, form, parameters, [&](const auto& name) {
    return checkpoint.tensor_as(name, held_type(checkpoint, form, name, dtype));
  });
  check_packed(checkpoint, form, weights);
  return weights;
}

// Which matrices are packed is what the files hold; one that they have no part of counts as packed.
void find_whole_matrices(const Checkpoint& checkpoint, ModelForm& form) {
  const std::string config = (checkpoint.folder() / kConfigFile).string(), key = "quantization_config";
  if (file_tensor(form.config, "model.layers.0.self_attn.q_proj.weight").part && is_native(form))
    throw InputError(BadInput{.file = config,
                              .key = key,
                              .found = fmt::format("quantised weights of a {}", name_of(form.config.family)),
                              .expected = "nothing: fused projections are not read packed"});
  ModelForm plain = form;
  plain.packing.reset();
  parameter_shapes(plain, checkpoint);  // sizes that can't be are refused there
  const ShapesOnly no_memory;
  bool any = false;
  for (int64_t i = 0; i < form.config.n_layers; ++i)
    for (const auto& [name, linear] : linears_of(*make_layer(plain, i))) {
      const std::string module = fmt::format("{}{}.{}", kLayers, i, name);
      const bool whole = checkpoint.has(module + ".weight") && !checkpoint.has(module + ".qweight");
      const std::string problem = packing_problem(linear->in(), linear->out());
      if (whole) {
        form.packing->whole.insert(module);
      } else if (!problem.empty()) {
        throw InputError(BadInput{.file = checkpoint.folder().string(),
                                  .key = module,
                                  .found = "packed, with " + problem,
                                  .expected = module + ".weight"});
      } else {
        any = true;
      }
    }
  if (!any)
    throw InputError(BadInput{.file = config,
                              .key = key,
                              .found = "quantised weights, and whole matrices in the files",
                              .expected = "nothing, or matrices as qweight, qzeros, scales and g_idx"});
}

}  // namespace

ModelForm read_checkpoint_form(const Checkpoint& checkpoint) {
  const auto file = checkpoint.folder() / kConfigFile;
  std::vector<std::string> notes;
  ModelForm form = read_model_form(checkpoint.config(), file, &notes);
  for (const auto& note : notes) checkpoint.note(note);
  if (form.packing) find_whole_matrices(checkpoint, form);
  if (!has_own_output(checkpoint, form.config)) return form;
  form.config.tie_embeddings = false;
  checkpoint.note(
      fmt::format("{}: tie_word_embeddings is true, and the files hold an {} of their own with other "
                  "numbers: that one is used",
                  file.string(), kOutputTensor));
  return form;
}

void check_checkpoint(const Checkpoint& checkpoint, const ModelForm& form) {
  check_tensors(checkpoint, form, parameter_shapes(form, checkpoint));
}

TensorMap read_base_weights(const Checkpoint& checkpoint, const DecoderConfig& config,
                            torch::ScalarType dtype) {
  return read_weights(checkpoint, native_form(config), dtype);
}

TensorMap read_layer_weights(const Checkpoint& checkpoint, const ModelForm& form, int64_t layer,
                             torch::ScalarType dtype, torch::Device device) {
  const std::string prefix = fmt::format("{}{}.", kLayers, layer);
  Shapes parameters;
  for (const auto& [name, shape] : shapes_of(checkpoint, [&] { return std::move(*make_layer(form, layer)); }))
    parameters[prefix + name] = shape;
  check_present(checkpoint, file_shapes(checkpoint, form, parameters));
  const auto weights = gather(checkpoint, form, parameters, [&](const auto& name) {
    const auto values = torch::empty(checkpoint.shape(name),
                                     torch::dtype(held_type(checkpoint, form, name, dtype)).device(device));
    checkpoint.copy_to(name, values);
    return values;
  });
  check_packed(checkpoint, form, weights);
  TensorMap out;
  for (const auto& [name, tensor] : weights) out[name.substr(prefix.size())] = tensor;
  return out;
}

TensorMap read_outer_weights(const Checkpoint& checkpoint, const ModelForm& form, torch::ScalarType dtype,
                             torch::Device device) {
  Shapes parameters = parameter_shapes(form, checkpoint);
  std::erase_if(parameters, [](const auto& entry) { return entry.first.starts_with(kLayers); });
  check_present(checkpoint, file_shapes(checkpoint, form, parameters));
  return gather(checkpoint, form, parameters,
                [&](const auto& name) { return checkpoint.tensor_as(name, dtype).to(device); });
}

std::shared_ptr<Decoder> load_decoder(const Checkpoint& checkpoint, torch::ScalarType dtype,
                                      torch::Device device) {
  const auto form = read_checkpoint_form(checkpoint);
  const TensorMap weights = read_weights(checkpoint, form, dtype);
  auto decoder = std::make_shared<Decoder>(form);
  for (auto& parameter : decoder->named_parameters()) {
    parameter.value().requires_grad_(false);
    parameter.value().set_data(weights.at(parameter.key()));
  }
  decoder->to(device);
  lay_side_by_side_on_gpu(*decoder);
  decoder->eval();
  return decoder;
}

TensorMap to_file_tensors(const DecoderConfig& config, const TensorMap& weights) {
  TensorMap out;
  std::map<std::string, std::map<int64_t, torch::Tensor>> parts;  // fused tensor → first row → rows
  for (const auto& [name, tensor] : weights) {
    const FileTensor place = file_tensor(config, name);
    if (place.part)
      parts[place.name][place.first_row] = tensor;
    else
      out[place.name] = tensor;
  }
  for (const auto& [name, rows] : parts) {
    std::vector<torch::Tensor> ordered;
    for (const auto& [first, tensor] : rows) ordered.push_back(tensor);
    out[name] = torch::cat(ordered, 0);
  }
  return out;
}

TensorMap to_file_tensors(const ModelForm& form, const TensorMap& weights) {
  return is_native(form) ? to_file_tensors(form.config, weights) : weights;
}

}  // namespace attnlab
