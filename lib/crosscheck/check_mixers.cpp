// Layers and checkpoints of mixers (crosscheck.h).
#include "attention/gta.h"
#include "attention/mixer.h"
#include "attention/variant_config.h"
#include "crosscheck/crosscheck.h"
#include "crosscheck/mixer_cases.h"

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
  const auto name_of = [](const std::string& name) {
    const std::string ours = "k_rope_proj", theirs = "W_rope_k";
    return name.starts_with(ours) ? theirs + name.substr(ours.size()) : name;
  };
  load_parameters(*mixer, file, name_of);
  const auto sequence = std::make_shared<Sequence>(
      SequenceParts{.T = x_BTD.size(1), .rotary = {{file.tensor("cos_1TR"), file.tensor("sin_1TR")}}});
  compare_module(check, *mixer, file, name_of, x_BTD, mixer->forward({.x_BTD = x_BTD, .sequence = sequence}));
}

void check_layer(const CaseFile& file, CaseCheck& check) {
  const bool grouped_tied = file.has("W_rope_k.weight");
  if (grouped_tied) return check_gta(file, check);
  for (const auto check_kind :
       {check_linear_case, check_mamba_case, check_rwkv_case, check_latent_case, check_start_case})
    if (check_kind(file, check)) return;
  check.not_checked("no mixer here is known to compute it");
}

}  // namespace

void check_mixers(const std::filesystem::path& folder, const CaseSink& done) {
  for (const auto& file : find_case_files(folder))
    done(check_case(file.name, [&](CaseCheck& check) { check_layer(file, check); }));
  for (const auto& path : find_case_checkpoints(folder))
    done(check_case(std::filesystem::relative(path, folder).string(),
                    [&](CaseCheck& check) { check_mixer_checkpoint(path, check); }));
}

}  // namespace attnlab
