#include "bench_form.h"

#include <fmt/format.h>

#include "checkpoint/checkpoint.h"
#include "config/node.h"
#include "measure/bench_models.h"
#include "model/decoder_weights.h"

namespace attnlab {

std::string BenchForm::title() const {
  std::string text = form;
  for (const auto& setting : settings) text += " " + setting;
  return bits > 0 ? text + fmt::format(" {} bits{}", bits, any_order ? " any order" : "") : text;
}

void add_form_options(Program& program, BenchForm& form) {
  program
      .option("form", form.form, "FORM",
              "mla_materialised or mla_absorbed (DeepSeek's form), gqa (the shape's own) or another variant")
      .option("shape", form.shape, "SHAPE", join(all_names<DecodeShape>()))
      .option("set", form.settings, "KEY=VALUE", "an option of the variant; may be repeated")
      .option("model", form.model, "DIR", "a model's folder, in place of a form and a shape")
      .option("bits", form.bits, "N", "matrices of N bits (2, 3, 4, 8), packed (default: whole)")
      .option("group-size", form.group_size, "N", "columns that share a scale, with --bits; -1: all")
      .flag("any-order", form.any_order, "columns of a group lie anywhere, as act_order leaves them")
      .option("kv-lora-rank", form.kv_lora_rank, "R", "width of MLA's latent")
      .option("qk-rope-head-dim", form.qk_rope_head_dim, "N", "width of MLA's part with rotary");
}

void require_form(const BenchForm& form) {
  if (!form.model.empty()) {
    if (!form.form.empty() || !form.shape.empty() || form.bits != 0 || !form.settings.empty())
      throw InputError(BadInput{.file = "--model",
                                .found = "a folder beside --form, --shape, --set or --bits",
                                .expected = "the folder alone: it says what it is"});
    return;
  }
  require_name("--form", form.form, decode_form_names());
  parse_name<DecodeShape>("--shape", form.shape);
  require_range("--kv-lora-rank", form.kv_lora_rank, 1, int64_t{1} << 16);
  require_range("--qk-rope-head-dim", form.qk_rope_head_dim, 2, int64_t{1} << 12);
  if (form.qk_rope_head_dim % 2 != 0)
    throw InputError({.file = "--qk-rope-head-dim",
                      .found = fmt::format("{}", form.qk_rope_head_dim),
                      .expected = "an even number"});
}

ModelForm form_of(const BenchForm& given) {
  Node options{.kind = Node::Kind::map, .file = "--set"};
  for (const auto& setting : given.settings) {
    const auto [path, value] = parse_setting("--set", setting);
    set_path(options, path, value);
  }
  auto form =
      decode_form(parse_name<DecodeShape>("--shape", given.shape), given.form,
                  {.kv_lora_rank = given.kv_lora_rank, .qk_rope_head_dim = given.qk_rope_head_dim}, options);
  if (given.bits == 0) return form;
  if (auto problem = quantize_problem(given.bits, given.group_size)) {
    problem->file = problem->key == "bits" ? "--bits" : "--group-size";
    problem->key.clear();
    throw InputError(*problem);
  }
  pack_form(form,
            {.bits = given.bits, .group_size = given.group_size, .desc_act = given.any_order, .sym = false});
  return form;
}

std::shared_ptr<Decoder> folder_decoder(BenchForm& form, torch::ScalarType dtype, torch::Device device) {
  if (form.model.empty()) return nullptr;
  const auto checkpoint = Checkpoint::open(form.model);
  auto decoder = load_decoder(checkpoint, dtype, device);
  print_notes(checkpoint.notes());
  for (auto& parameter : decoder->parameters()) parameter.requires_grad_(false);
  decoder->eval();
  const auto folder = std::filesystem::path(form.model).lexically_normal();
  form.form = (folder.has_filename() ? folder : folder.parent_path()).filename().string();
  form.shape = name_of(decoder->config().family);
  return decoder;
}

}  // namespace attnlab
