// Layers and checkpoints of mixers (crosscheck.h).
#include "attention/mixer.h"
#include "attention/variants.h"
#include "crosscheck/crosscheck.h"

namespace attnlab {
namespace {

// Grouped-tied attention as Dao-AILab/grouped-latent-attention computes it: `W_rope_k` is our k_rope_proj.
void check_gta(const CaseFile& file, CaseCheck& check) {
  const auto x_BTD = file.tensor("x_BTD").requires_grad_();
  AttentionShape shape{.d_model = x_BTD.size(2),
                       .n_heads = file.integer("n_heads"),
                       .n_kv_heads = file.integer("n_kv_heads"),
                       .head_dim = file.integer("head_dim"),
                       .qkv_bias = file.has("kv_proj.bias"),
                       .o_bias = file.has("o_proj.bias")};
  const auto mixer = make_mixer(shape, Gta::Config{.qk_rope_head_dim = file.integer("rope_dim"),
                                                   .k_rope_bias = file.has("W_rope_k.bias")});
  mixer->to(torch::kFloat64);
  const auto name_of = [](const std::string& name) {
    const std::string ours = "k_rope_proj", theirs = "W_rope_k";
    return name.starts_with(ours) ? theirs + name.substr(ours.size()) : name;
  };
  {
    const torch::NoGradGuard no_grad;
    for (auto& item : mixer->named_parameters()) item.value().copy_(file.tensor(name_of(item.key())));
  }
  const auto sequence = std::make_shared<Sequence>(
      SequenceParts{.T = x_BTD.size(1), .rotary = {{file.tensor("cos_1TR"), file.tensor("sin_1TR")}}});
  const auto out = mixer->forward({.x_BTD = x_BTD, .sequence = sequence});
  check.compare("out", out, file.tensor("out"), {.relative = 2e-5});
  (out * file.tensor("cotangent")).sum().backward();
  check.compare("grad/x_BTD", x_BTD.grad(), file.tensor("grad/x_BTD"), {.relative = 1e-4});
  for (const auto& item : mixer->named_parameters()) {
    const auto name = "grad/" + name_of(item.key());
    check.compare(name, item.value().grad(), file.tensor(name), {.relative = 1e-4});
  }
}

void check_layer(const CaseFile& file, CaseCheck& check) {
  const bool grouped_tied = file.has("W_rope_k.weight");
  if (grouped_tied) return check_gta(file, check);
  check.not_checked("no mixer here is known to compute it");
}

}  // namespace

void check_mixers(const std::filesystem::path& folder, const CaseSink& done) {
  for (const auto& file : find_case_files(folder))
    done(check_case(file.name, [&](CaseCheck& check) { check_layer(file, check); }));
  for (const auto& path : find_case_checkpoints(folder))
    done(check_case(std::filesystem::relative(path, folder).string(),
                    [](CaseCheck& check) { check.not_checked("no mixer here is known to compute it"); }));
}

}  // namespace attnlab
