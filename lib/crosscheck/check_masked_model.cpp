#include <fmt/format.h>

#include "checkpoint/checkpoint.h"
#include "crosscheck/pruned_models.h"
#include "model/cut_model.h"
#include "model/decoder_weights.h"

namespace attnlab {
namespace {

// The reference software's names of our parameters.
std::string public_name(std::string name) {
  const auto replace = [&](const std::string& from, const std::string& to) {
    if (const size_t at = name.find(from); at != std::string::npos) name.replace(at, from.size(), to);
  };
  replace("model.embed_tokens", "transformer.wte");
  replace("model.layers", "transformer.blocks");
  replace("model.norm", "transformer.ln_f");
  replace("lm_head", "transformer.output");
  replace("self_attn.q_proj", "attn.wq");
  replace("self_attn.k_proj", "attn.wk");
  replace("self_attn.v_proj", "attn.wv");
  replace("self_attn.o_proj", "attn.out_proj");
  replace("input_layernorm", "ln_1");
  replace("post_attention_layernorm", "ln_2");
  return name;
}

// The masks of a file, each a leaf.
struct FileMasks {
  torch::Tensor hidden, heads, columns, attention, mlp;

  explicit FileMasks(const CaseFile& file)
      : hidden(leaf(file, "hidden_z")),
        heads(leaf(file, "head_z")),
        columns(leaf(file, "intermediate_z")),
        attention(leaf(file, "head_layer_z")),
        mlp(leaf(file, "mlp_z")) {}
  static torch::Tensor leaf(const CaseFile& file, const std::string& name) {
    return file.tensor(name, torch::kFloat32).requires_grad_();
  }
  ModelMasks masks(bool embedding) const {
    ModelMasks out{.hidden_D = hidden, .layers = {}, .embedding = embedding};
    for (int64_t i = 0; i < attention.size(0); ++i)
      out.layers.push_back({.heads_N = heads[i].flatten(),
                            .columns_I = columns[i].flatten(),
                            .attention = attention[i],
                            .mlp = mlp[i]});
    return out;
  }
};

// Mean cross-entropy of the next tokens.
torch::Tensor next_token_loss(const torch::Tensor& logits_BTV, const torch::Tensor& ids_BT) {
  const int64_t T = ids_BT.size(1);
  const auto log_p = torch::log_softmax(logits_BTV.narrow(1, 0, T - 1), -1);
  return -log_p.gather(-1, ids_BT.narrow(1, 1, T - 1).unsqueeze(-1)).mean();
}

torch::Tensor logits_of(Decoder& decoder, const torch::Tensor& ids) {
  return decoder.logits(decoder.hidden(ids));
}

void check_gradients(const CaseFile& file, Decoder& decoder, const FileMasks& masks, CaseCheck& check) {
  for (const auto& parameter : decoder.named_parameters()) {
    const std::string name = "grad/" + public_name(parameter.key());
    check.compare(name, parameter.value().grad(), file.tensor(name), {.absolute = 1e-5});
  }
  const auto mask = [&](const char* name, const torch::Tensor& of) {
    const auto theirs = file.tensor(std::string("grad/") + name);
    const auto ours = of.grad().defined() ? of.grad() : torch::zeros_like(of);
    check.compare(std::string("grad/") + name, ours.view_as(theirs), theirs, {.absolute = 1e-5});
  };
  mask("hidden_z", masks.hidden);
  mask("head_z", masks.heads);
  mask("intermediate_z", masks.columns);
  mask("head_layer_z", masks.attention);
  mask("mlp_z", masks.mlp);
}

void check_cut(const CaseFile& file, const DecoderConfig& config, const TensorMap& source,
               const FileMasks& masks, CaseCheck& check) {
  const auto ids = file.tensors.tensor("input_ids");
  const auto cut = cut_model(config, source, masks.masks(true), /*twice_in_head=*/true);
  Decoder decoder(native_form(cut.config));
  load_weights(decoder, cut.weights);
  decoder.eval();
  const auto logits = logits_of(decoder, ids);
  check.compare("logits_pruned", logits, file.tensor("logits_pruned"), {.absolute = 1e-5});
  const auto pruned = Checkpoint::open(file.path.parent_path() / "pruned");
  const auto form = read_checkpoint_form(pruned);
  check.expect("config of the cut model: " + join(differences(flatten(cut.config), flatten(form.config)), "; "),
               fields_equal(cut.config, form.config));
  for (const auto& [name, tensor] : read_base_weights(pruned, form.config))
    check.compare("pruned/" + name, cut.weights.at(name), tensor, {.absolute = 1e-5});
  const auto read = load_decoder(pruned, torch::kFloat32, torch::kCPU);
  check.compare("logits of pruned/", logits_of(*read, ids), file.tensor("logits_pruned"), {.absolute = 5e-6});
  const bool binary = file.facts.value("masked_minus_pruned", 1.0) == 0;
  if (binary) check.compare("masked against cut", logits, file.tensor("logits_masked"), {.absolute = 1e-5});
}

}  // namespace

void check_masked_model(const CaseFile& file, CaseCheck& check) {
  const auto checkpoint = Checkpoint::open(file.path.parent_path() / "source");
  const DecoderConfig config = read_checkpoint_form(checkpoint).config;
  const TensorMap weights = read_base_weights(checkpoint, config);
  Decoder decoder(native_form(config));
  load_weights(decoder, weights);
  const auto ids = file.tensors.tensor("input_ids");
  const FileMasks masks(file);
  decoder.set_masks(masks.masks(true));
  const auto logits = logits_of(decoder, ids);
  check.compare("logits_masked", logits, file.tensor("logits_masked"), {.absolute = 1e-5});
  const auto loss = next_token_loss(logits, ids);
  check.compare("loss_masked", loss.view({1}), file.tensor("loss_masked"), {.absolute = 1e-5});
  loss.backward();
  check_gradients(file, decoder, masks, check);
  const torch::NoGradGuard no_grad;
  if (file.has("logits_masked_inside")) {
    decoder.set_masks(masks.masks(false));
    check.compare("logits_masked_inside", logits_of(decoder, ids), file.tensor("logits_masked_inside"),
                  {.absolute = 1e-5});
  }
  check_cut(file, config, weights, masks, check);
}

}  // namespace attnlab
