// Structured pruning: norms fused and streams sliced (SliceGPT), masks, cut models and shares of a mixture
// (Sheared LLaMA); crosscheck.h.
#include <fmt/format.h>

#include <cmath>

#include "checkpoint/checkpoint.h"
#include "convert/memory_conversion.h"
#include "convert/slice_transform.h"
#include "convert/slicing.h"
#include "core/files.h"
#include "core/json.h"
#include "crosscheck/crosscheck.h"
#include "crosscheck/pruned_models.h"
#include "model/decoder_weights.h"
#include "prune/constraints.h"
#include "prune/domain_weights.h"

namespace attnlab {
namespace {

using nlohmann::json;

torch::Tensor logits_of(const ModelForm& form, const TensorMap& weights, const torch::Tensor& ids) {
  const torch::NoGradGuard no_grad;
  Decoder decoder(form);
  load_weights(decoder, weights);
  decoder.eval();
  return decoder.logits(decoder.hidden(ids));
}

void check_norm_fusion(const CaseFile& file, CaseCheck& check) {
  const auto map_of = [&](const char* name) {
    return AffineMap{.weight = file.tensor(std::string(name) + ".weight"),
                     .bias = file.tensor(std::string(name) + ".bias")};
  };
  const auto prev = map_of("prev"), next = map_of("next");
  const auto gamma = file.tensor("ln.weight"), beta = file.tensor("ln.bias");
  const auto writer = centred(prev);
  const auto reader = fused_with_norm(next, gamma, beta);
  check.compare("fused/prev.weight", writer.weight, file.tensor("fused/prev.weight"), {.relative = 1e-5});
  check.compare("fused/prev.bias", writer.bias, file.tensor("fused/prev.bias"), {.relative = 1e-5});
  check.compare("fused/next.weight", reader.weight, file.tensor("fused/next.weight"), {.relative = 1e-5});
  check.compare("fused/next.bias", reader.bias, file.tensor("fused/next.bias"), {.relative = 1e-5});
  constexpr double eps = 1e-5;
  const auto x = file.tensor("x");
  const auto before = torch::linear(x, prev.weight, prev.bias);
  const auto normed = torch::layer_norm(before, {before.size(-1)}, gamma, beta, eps);
  check.compare("out", torch::linear(normed, next.weight, next.bias), file.tensor("out"), {.relative = 1e-5});
  const auto stream = torch::linear(x, writer.weight, writer.bias);
  const auto root = at::rms_norm(stream, {stream.size(-1)}, {}, eps);
  check.compare("out_fused", torch::linear(root, reader.weight, reader.bias), file.tensor("out_fused"),
                {.relative = 1e-5});
}

void check_domain_weights(const CaseFile& file, CaseCheck& check) {
  const auto values = [](const torch::Tensor& x) {
    const auto wide = x.to(torch::kFloat64).contiguous();
    return std::vector<double>(wide.const_data_ptr<double>(), wide.const_data_ptr<double>() + wide.numel());
  };
  for (const auto& [name, update] : EnumNames<DomainUpdate>::rows) {
    auto weights = values(file.tensor("proportion"));
    for (int64_t round = 1;; ++round) {
      const auto key = fmt::format("{}/after{}", name, round);
      if (!file.has(key)) break;
      const auto losses = values(file.tensor("loss") - 0.1 * static_cast<double>(round - 1));
      weights = updated_weights(update, weights, losses, values(file.tensor("target_loss")));
      check.compare(key, torch::tensor(weights, torch::kFloat64), file.tensor(key), {.absolute = 1e-6});
    }
  }
}

// The masks of a file: "modules" with their sizes and targets.
struct MaskCase {
  const CaseFile& file;
  PrunedShape shape;
  std::vector<MaskKind> kinds;
  MaskTargets targets;
  MaskParameters masks;

  explicit MaskCase(const CaseFile& of) : file(of) {
    shape = {.d_model = of.integer("d_model"),
             .n_layers = of.integer("n_layers"),
             .n_heads = of.integer("n_heads"),
             .n_kv_heads = of.integer("n_heads"),
             .head_dim = of.integer("d_model") / of.integer("n_heads"),
             .d_ff = of.integer("intermediate_size")};
    for (const auto& module : of.facts.at("modules")) {
      const auto kind = from_name<MaskKind>(module.get<std::string>());
      if (!kind) throw InputError(BadInput{.file = of.path.string(), .key = "modules", .found = module.dump()});
      kinds.push_back(*kind);
      masks[*kind] = parameter(*kind);
    }
    const json& target = of.facts.at("target");
    if (target.is_array())
      for (const MaskKind kind : kinds) targets[kind] = target_of(target, kind);
  }

  torch::Tensor parameter(MaskKind kind) const {
    auto alpha = file.tensor(std::string(name_of(kind)) + "/z_loga", torch::kFloat32);
    clamp_mask_parameter(alpha);
    return alpha.requires_grad_();
  }
  // [d_model, layers, heads, columns].
  static int64_t target_of(const json& target, MaskKind kind) {
    const size_t at = kind == MaskKind::hidden         ? 0
                      : kind == MaskKind::head         ? 2
                      : kind == MaskKind::intermediate ? 3
                                                       : 1;
    return target.at(at).get<int64_t>();
  }
};

void check_mask(const MaskCase& c, MaskKind kind, CaseCheck& check) {
  const std::string name(name_of(kind));
  const auto of = [&](const char* part) { return c.file.tensor(name + "/" + part, torch::kFloat32); };
  const auto alpha = c.parameter(kind);
  check.compare(name + "/score", kept_chance(alpha), of("score"), {.absolute = 1e-5});
  check.compare(name + "/expected_sparsity", expected_sparsity(alpha).view({-1}), of("expected_sparsity"),
                {.absolute = 1e-5});
  const auto sampled = sampled_mask(alpha, of("uniform")), theirs = of("z_sampled").view_as(sampled);
  check.compare(name + "/z_sampled", sampled, theirs, {.absolute = 1e-5});
  check.equal(name + "/z_sampled, zeros", sampled == 0, theirs == 0);
  check.equal(name + "/z_sampled, ones", sampled == 1, theirs == 1);
  (sampled * of("cotangent").view_as(sampled)).sum().backward();
  check.compare(name + "/grad_sampled", alpha.grad(), of("grad_sampled"), {.absolute = 1e-5});
  const bool by_target = !c.targets.empty() && c.file.facts.value("eval_target_model", true);
  const auto evaluated = evaluated_mask(alpha, by_target ? c.shape.size(kind) - c.targets.at(kind) : -1);
  check.compare(name + "/z_deterministic", evaluated, of("z_deterministic").view_as(evaluated),
                {.absolute = 1e-5});
}

// The multipliers of the file, by their names there: "lambda_1_head", "lambda_1".
std::string multiplier_name(int order, std::optional<MaskKind> kind) {
  return fmt::format("lambda_{}{}", order, kind ? "_" + std::string(name_of(*kind)) : "");
}

void check_step(const MaskCase& c, const std::string& step, CaseCheck& check) {
  MaskCase fresh(c.file);  // with gradients of its own
  Constraints constraints(c.shape,
                          {.targets = c.targets,
                           .target_sparsity = c.file.number("target_sparsity"),
                           .start_sparsity = c.file.number("start_sparsity"),
                           .warm_up = c.file.integer("lagrangian_warmup_steps")},
                          fresh.masks);
  for (auto& [kind, pair] : constraints.multipliers()) {
    const torch::NoGradGuard no_grad;
    pair.linear.copy_(c.file.tensor("lambda/" + multiplier_name(1, kind)));
    pair.square.copy_(c.file.tensor("lambda/" + multiplier_name(2, kind)));
  }
  const int64_t number = std::stoll(step.substr(4));
  const auto loss = constraints.loss(fresh.masks, number);
  check.compare(step + "/lagrangian_loss", loss.view({1}), c.file.tensor(step + "/lagrangian_loss"),
                {.absolute = 1e-5, .relative = 1e-5});
  loss.backward();
  const auto gradient = [&](const std::string& name, const torch::Tensor& of) {
    const auto ours = of.grad().defined() ? of.grad() : torch::zeros_like(of);
    check.compare(step + "/grad/" + name, ours, c.file.tensor(step + "/grad/" + name),
                  {.absolute = 1e-5, .relative = 1e-5});
  };
  for (const auto& [kind, alpha] : fresh.masks) gradient(std::string(name_of(kind)) + "/z_loga", alpha);
  for (const auto& [kind, pair] : constraints.multipliers()) {
    gradient("lambda/" + multiplier_name(1, kind), pair.linear);
    gradient("lambda/" + multiplier_name(2, kind), pair.square);
  }
  const json& facts = c.file.facts.at(step);
  const auto fact = [&](const std::string& key, double ours) {
    if (facts.contains(key))
      check.compare(step + "/" + key, ours, facts.at(key).get<double>(), {.absolute = 1e-5});
  };
  fact("expected_sparsity", constraints.overall_sparsity(fresh.masks).item<double>());
  fact("target_sparsity", constraints.target(std::nullopt, number));
  for (const MaskKind kind : c.kinds) {
    fact(fmt::format("expected_{}_sparsity", name_of(kind)),
         expected_sparsity(fresh.masks.at(kind)).mean().item<double>());
    if (c.targets.contains(kind))
      fact(fmt::format("target_{}_sparsity", name_of(kind)), constraints.target(kind, number));
  }
}

void check_masks(const CaseFile& file, CaseCheck& check) {
  const MaskCase c(file);
  for (const MaskKind kind : c.kinds) check_mask(c, kind, check);
  check.compare("expected_parameters", expected_parameters(c.shape, c.masks).view({1}),
                file.tensor("expected_parameters"), {.relative = 1e-5});
  check.compare("prunable_model_size", c.shape.prunable(), file.number("prunable_model_size"), {});
  for (const auto& [key, value] : file.facts.items())
    if (key.starts_with("step") && value.is_object()) check_step(c, key, check);
}

// A setting of SliceGPT, and what it was made from.
struct SliceCase {
  const SafetensorsFile& reference;
  DecoderConfig config;
  const TensorMap& weights;
  torch::Tensor ids;
};

ConversionData text_of(const SafetensorsFile& reference) {
  constexpr int64_t together = 4;
  ConversionData data;
  const auto ids = reference.tensor("calibration_ids"), mask = reference.tensor("calibration_mask") != 0;
  for (int64_t first = 0; first < ids.size(0); first += together) {
    data.calibration.ids_BT.push_back(ids.slice(0, first, first + together).contiguous());
    data.calibration.valid_BT.push_back(mask.slice(0, first, first + together).contiguous());
  }
  return data;
}

bool is_padded_behind(const torch::Tensor& mask) {
  const auto valid = (mask != 0).to(torch::kInt64);
  return (valid.diff(1, 1) <= 0).all().item<bool>();
}

int64_t parameters_of(const TensorMap& weights) {
  int64_t count = 0;
  for (const auto& [name, tensor] : weights)
    if (!name.ends_with("norm.weight")) count += tensor.numel();
  return count;
}

void check_setting(const SliceCase& c, const std::string& name, const json& facts, double deviation,
                   CaseCheck& check) {
  const SliceOptions options{.width = facts.at("dimension").get<int64_t>(),
                             .slice_head = facts.at("slice_head").get<bool>(),
                             .subtract_mean = facts.at("mean_subtracted_from_embeddings").get<bool>()};
  std::vector<torch::Tensor> eigenvalues;
  const ModelForm source = native_form(c.config);
  const auto transform =
      make_slice_transform(source, {options, all_layers(c.config)}, options,
                           [&](const torch::Tensor& values) { eigenvalues.push_back(values); });
  const auto done = convert_in_memory(c.config, c.weights, *transform, text_of(c.reference), torch::kCPU,
                                      [](const std::string&, int64_t, int64_t) {});
  const auto logits = logits_of(done.form, done.weights, c.ids);
  const bool whole = options.width == c.config.d_model;
  const double allowed = !whole ? 1e-3 * deviation : 1e-4;
  check.compare(name + "/logits", logits, c.reference.tensor(name + "/logits"), {.absolute = allowed});
  check.compare(name + "/pca_eigenvalues", torch::stack(eigenvalues),
                c.reference.tensor(name + "/pca_eigenvalues"), {.relative = 1e-5});
  check.compare(name + "/parameters", static_cast<double>(parameters_of(done.weights)),
                facts.at("parameters").get<double>(), {});
}

// A sliced model as public code stores it: no norms.
void check_stored(const SliceCase& c, const std::filesystem::path& path, const std::string& name,
                  double deviation, CaseCheck& check) {
  const auto file = SafetensorsFile::open(path);
  TensorMap weights;
  for (const auto& tensor : file.names()) weights[tensor] = file.tensor(tensor);
  ModelForm form = native_form(c.config);
  form.config.tie_embeddings = false;
  form.sliced = SlicedStream{.width = weights.at("model.embed_tokens.weight").size(1),
                             .head = weights.at("lm_head.weight").size(1) != c.config.d_model};
  const auto norm = [&](int64_t width) {
    return torch::full({width}, std::sqrt(static_cast<double>(c.config.d_model) / static_cast<double>(width)));
  };
  for (int64_t i = 0; i < c.config.n_layers; ++i)
    for (const char* which : {"input_layernorm", "post_attention_layernorm"})
      weights[fmt::format("model.layers.{}.{}.weight", i, which)] = norm(form.sliced->width);
  weights["model.norm.weight"] = norm(form.width_after(c.config.n_layers - 1));
  check.compare(path.filename().string(), logits_of(form, weights, c.ids), c.reference.tensor(name + "/logits"),
                {.absolute = 1e-3 * deviation});
}

void check_sliced(const std::filesystem::path& folder, CaseCheck& check) {
  const auto reference = SafetensorsFile::open(folder / "reference.safetensors");
  if (!reference.has("calibration_mask")) return check.not_checked("no check of its form");
  if (!is_padded_behind(reference.tensor("calibration_mask")))
    return check.not_checked("padding in front of calibration text");
  const auto facts_file = folder / "reference.json";
  const json facts = parse_json(read_file(facts_file), facts_file.string());
  const double deviation = facts.at("logits_std").get<double>();
  const auto checkpoint = Checkpoint::open(folder);
  const DecoderConfig config = read_checkpoint_form(checkpoint).config;
  const TensorMap weights = read_base_weights(checkpoint, config);
  const auto ids = reference.tensor("eval_ids");
  check.compare("logits", logits_of(native_form(config), weights, ids), reference.tensor("logits"),
                {.absolute = 5e-5});
  SliceCase own{.reference = reference, .config = config, .weights = weights, .ids = ids};
  {  // with the model's own epsilon, a rotation alone is exact
    const SliceOptions options{.width = config.d_model};
    const auto transform = make_slice_transform(native_form(config), {options, all_layers(config)}, options);
    const auto done = convert_in_memory(config, weights, *transform, text_of(reference), torch::kCPU,
                                        [](const std::string&, int64_t, int64_t) {});
    check.compare("nothing cut, its own epsilon", logits_of(done.form, done.weights, ids),
                  reference.tensor("logits"), {.absolute = 5e-5});
  }
  // Public code's norms have an epsilon of 1e-5, whatever the config says.
  SliceCase theirs = own;
  theirs.config.norm_eps = 1e-5;
  for (const auto& [name, setting] : facts.at("settings").items()) {
    check_setting(theirs, name, setting, deviation, check);
    const auto stored = folder / (name + ".safetensors");
    if (std::filesystem::exists(stored)) check_stored(theirs, stored, name, deviation, check);
  }
}

bool is_masked_model(const CaseFile& file) {
  return file.has("logits_masked") &&
         std::filesystem::exists(file.path.parent_path() / "source" / "config.json");
}

void check_file(const CaseFile& file, CaseCheck& check) {
  if (file.has("ln.weight")) return check_norm_fusion(file, check);
  if (file.has("target_loss")) return check_domain_weights(file, check);
  if (file.facts.contains("modules")) return check_masks(file, check);
  if (is_masked_model(file)) return check_masked_model(file, check);
  check.not_checked("no check of its form");
}

}  // namespace

void check_pruning(const std::filesystem::path& folder, const CaseSink& done) {
  for (const auto& file : find_case_files(folder))
    done(check_case(file.name, [&](CaseCheck& check) { check_file(file, check); }));
  for (const auto& path : find_case_checkpoints(folder))
    done(check_case(std::filesystem::relative(path, folder).string(),
                    [&](CaseCheck& check) { check_sliced(path, check); }));
}

}  // namespace attnlab
