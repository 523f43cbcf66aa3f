#include "measure/model_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/option_text.h"

namespace attnlab {
namespace {

// 1234567 → "1,234,567".
std::string grouped(int64_t number) {
  const std::string digits = fmt::format("{}", number);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

// Three digits and a decimal prefix: "7.62 B" numbers, "85.9 GB".
std::string scaled(double number, const std::vector<const char*>& units) {
  size_t unit = 0;
  while (number >= 999.5 && unit + 1 < units.size()) {
    number /= 1000;
    ++unit;
  }
  const int decimals = unit == 0 || number >= 99.95 ? 0 : number >= 9.995 ? 1 : 2;
  return fmt::format("{:.{}f} {}", number, decimals, units[unit]);
}
std::string byte_text(double bytes) { return scaled(bytes, {"B", "kB", "MB", "GB", "TB", "PB", "EB"}); }
// " (7.62 B)" behind numbers that are long to read.
std::string count_text(int64_t count) {
  if (count < 1000000) return "";
  return fmt::format(" ({})", scaled(static_cast<double>(count) / 1e6, {"M", "B", "T"}));
}

// Columns as wide as their longest cell; the first `left` ones are aligned to the left.
std::string aligned(const std::vector<std::vector<std::string>>& rows, size_t left) {
  std::vector<size_t> widths(rows.front().size());
  for (const auto& row : rows)
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  std::string text;
  for (const auto& row : rows) {
    std::string line = " ";
    for (size_t i = 0; i < row.size(); ++i)
      line +=
          i < left ? fmt::format(" {:<{}} ", row[i], widths[i]) : fmt::format(" {:>{}} ", row[i], widths[i]);
    text += line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
  }
  return text;
}

std::string window_text(const DecoderConfig& c) {
  if (c.window == 0) return "no windows";
  if (c.window_layers.empty()) return fmt::format("window {} in all", c.window);
  std::vector<std::string> layers;
  for (const int64_t layer : c.window_layers) layers.push_back(fmt::format("{}", layer));
  return fmt::format("window {} in layers {}", c.window, join(layers));
}

// "mla_orthogonal (split balanced, rank 12)", the options of a conversion.
std::string name_text(const ModelFacts& facts, const KvForm& own) {
  return facts.converted ? with_options_text(own.name, facts.converted->options) : own.name;
}

// "mamba2, no attention: 64 channels, state 16, convolution of 4, 8 heads in 1 groups".
std::string recurrence_text(const RecurrentShape& form) {
  std::string text = fmt::format("{}, no attention: {} channels", name_of(form.kind), form.inner);
  if (form.state > 0) text += fmt::format(", state {}, convolution of {}", form.state, form.conv_kernel);
  if (form.kind == RecurrentKind::mamba2)
    text += fmt::format(", {} heads in {} groups", form.heads, form.groups);
  if (form.kind == RecurrentKind::mamba) text += fmt::format(", step rank {}", form.step_rank);
  return text;
}

std::string attention_text(const ModelFacts& facts, const KvForm& own) {
  const DecoderConfig& c = facts.config;
  if (c.recurrent) return recurrence_text(*c.recurrent);
  std::string text = name_text(facts, own) + ", " + fmt::format("{} heads", c.n_heads);
  if (c.mla) {
    text +=
        fmt::format(", kv_lora_rank {}, qk_nope_head_dim {}, qk_rope_head_dim {}, v_head_dim {}",
                    c.mla->kv_lora_rank, c.mla->qk_nope_head_dim, c.mla->qk_rope_head_dim, c.mla->v_head_dim);
    text += c.mla->q_lora_rank > 0 ? fmt::format(", q_lora_rank {}", c.mla->q_lora_rank) : "";
  } else {
    text += fmt::format(", {}{} KV heads, head_dim {}", facts.converted ? "made from " : "", c.n_kv_heads,
                        c.head_dim);
  }
  if (c.qkv_bias) text += ", biases on q, k and v";
  if (c.o_bias) text += ", bias on o";
  if (traits_of(c.family).qk_norm) text += ", norms of q and k heads";
  if (c.attention_softcap > 0) text += fmt::format(", scores capped at {}", c.attention_softcap);
  return text;
}

std::string rope_text(const DecoderConfig& c) {
  std::string text = c.rope_scaling ? std::string(name_of(c.rope_scaling->type)) : "default";
  text += fmt::format(", theta {}", c.rope_theta);
  if (c.window_rope_theta > 0)
    text += fmt::format(" (layers with a window: default, theta {})", c.window_rope_theta);
  if (c.rope_scaling && c.rope_scaling->type != RopeType::longrope)
    text += fmt::format(", factor {}", c.rope_scaling->factor);
  if (c.rope_scaling && c.rope_scaling->original_positions > 0)
    text += fmt::format(", trained on {}", c.rope_scaling->original_positions);
  if (c.rope_scaling && c.rope_scaling->table_factor() != 1)
    text += fmt::format(", cos and sin times {:.6g}", c.rope_scaling->table_factor());
  const int64_t width = c.mla ? c.mla->qk_nope_head_dim + c.mla->qk_rope_head_dim : c.head_dim;
  if (c.turning_dim() < width) text += fmt::format(", on {} of a head's {} numbers", c.turning_dim(), width);
  return text;
}

std::string mlp_text(const DecoderConfig& c) {
  const int64_t sparse = c.layers_with_experts();
  const std::string dense = fmt::format("d_ff {}{}", c.d_ff, c.mlp_bias ? ", biases" : "");
  if (sparse == 0) return dense;
  const MoeShape& moe = *c.moe;
  std::string text = fmt::format("{} experts, {} per token", moe.n_experts, moe.experts_per_token);
  if (moe.groups_per_token < moe.n_groups)
    text += fmt::format(" out of {} of {} groups", moe.groups_per_token, moe.n_groups);
  text += fmt::format(", d_ff {}", moe.d_ff);
  if (moe.n_shared > 0) text += fmt::format(", {} shared", moe.n_shared);
  if (sparse == c.n_layers) return text;
  return fmt::format("{}, in {} layers; {} in the others", text, sparse, dense);
}

std::string positions_text(const DecoderConfig& c) {
  if (c.longest_sequence() == c.max_positions) return fmt::format("{}", c.max_positions);
  return fmt::format("{}, stretched to {}", c.max_positions, c.longest_sequence());
}

// Words hold several numbers: the tensors' own count says little.
std::string packing_text(const MatrixPacking& packing) {
  const auto groups =
      packing.group_size < 0 ? std::string("one group a row") : fmt::format("groups of {}", packing.group_size);
  const auto whole = packing.whole.empty() ? "" : fmt::format(", {} matrices whole", packing.whole.size());
  return fmt::format("matrices packed in {} bits, {}{}", packing.bits, groups, whole);
}

std::string weights_text(const ModelFacts& facts, const ParameterCounts& counts) {
  if (!facts.weights)
    return facts.dtype.empty() ? "none" : fmt::format("none (config.json says {})", facts.dtype);
  std::vector<std::string> dtypes;
  for (const auto& [name, numbers] : facts.weights->dtypes) dtypes.push_back(name);
  std::string text = fmt::format("{}, {} tensors, {} numbers", join(dtypes, " and "), facts.weights->tensors,
                                 grouped(facts.weights->parameters));
  if (facts.packing) return text + ", " + packing_text(*facts.packing);
  if (facts.weights->parameters != counts.total())
    text += fmt::format(" (the {} shapes have {})", facts.sliced ? "whole stream's" : "config's",
                        grouped(counts.total()));
  return text;
}

std::string width_text(const ModelFacts& facts) {
  std::string text = fmt::format("{}", facts.config.d_model);
  if (facts.sliced)
    text += fmt::format(", of which {} principal directions are kept{}", facts.sliced->width,
                        facts.sliced->head ? "" : " (all behind the last layer)");
  return text;
}

std::string shape_text(const ModelFacts& facts, const KvForm& own, const ParameterCounts& counts) {
  const DecoderConfig& c = facts.config;
  const std::string layout = facts.converted ? ", converted: in the layout of attnlab" : "";
  return aligned({{"family", std::string(name_of(c.family)) + layout},
                  {"weights", weights_text(facts, counts)},
                  {"layers", fmt::format("{}, {}", c.n_layers, window_text(c))},
                  {"d_model", width_text(facts)},
                  {"attention", attention_text(facts, own)},
                  {"rope", c.recurrent ? "none" : rope_text(c)},
                  {"mlp", traits_of(c.family).has_mlp ? mlp_text(c) : "none"},
                  {"positions", c.recurrent ? "any number" : positions_text(c)},
                  {"vocabulary", fmt::format("{}{}", c.vocab_size,
                                             c.tie_embeddings ? ", output tied to the embedding" : "")}},
                 2);
}

std::string parameter_text(const ParameterCounts& counts) {
  std::vector<std::vector<std::string>> rows;
  const auto add = [&](const char* name, int64_t count) {
    const double share = 100 * static_cast<double>(count) / static_cast<double>(counts.total());
    rows.push_back({name, grouped(count), fmt::format("{:.1f} %", share)});
  };
  add("embedding", counts.embedding);
  if (counts.output > 0) add("output", counts.output);
  add("attention", counts.attention);
  add("mlp", counts.mlp);
  add("norms", counts.norms);
  if (counts.active != counts.total()) add("active per token", counts.active);
  return aligned(rows, 1);
}

// How far `value` is from `base`: "-93.0 %", "" if it is the same.
std::string change_text(int64_t value, int64_t base) {
  if (value == base) return "";
  return fmt::format("{:+.1f} %", 100 * (static_cast<double>(value) / static_cast<double>(base) - 1));
}

// Whole where the bits fill bytes.
std::string bytes_per_token(int64_t numbers, const KvDemand& demand) {
  const double bytes = static_cast<double>(numbers) * static_cast<double>(demand.bits) / 8;
  const auto whole = static_cast<int64_t>(bytes);
  return static_cast<double>(whole) == bytes ? grouped(whole) : fmt::format("{:.3f}", bytes);
}

std::string form_text(const DecoderConfig& c, const std::vector<KvForm>& forms, const KvDemand& demand) {
  std::vector<std::vector<std::string>> rows{{"form", "kept per token and layer", "numbers/token",
                                              "bytes/token", "cache", "change", "attention parameters",
                                              "change"}};
  for (const auto& form : forms) {
    const int64_t numbers = form.numbers * c.n_layers;
    rows.push_back({form.own ? form.name + " (this model)" : form.name,
                    form.numbers > 0 ? fmt::format("{} = {}", form.formula, form.numbers) : form.formula,
                    grouped(numbers), bytes_per_token(numbers, demand), byte_text(cache_bytes(c, form, demand)),
                    change_text(form.numbers, forms.front().numbers), grouped(form.attention_params),
                    change_text(form.attention_params, forms.front().attention_params)});
  }
  return aligned(rows, 2);
}

nlohmann::ordered_json fields_json(const FlatFields& fields) {
  auto out = nlohmann::ordered_json::object();
  for (const auto& [key, value] : fields)
    std::visit([&, name = key](const auto& plain) { out[name] = plain; }, value);
  return out;
}

ParameterCounts counts_of(const ModelFacts& facts) {
  ParameterCounts counts = count_parameters(facts.config);
  if (!facts.converted) return counts;
  const int64_t more = facts.converted->form.attention_params - counts.attention;
  counts.attention += more;
  counts.active += more;
  return counts;
}

// Of a converted model its own form comes first, then those of its base.
std::vector<KvForm> forms_of(const ModelFacts& facts, const LatentRanks& ranks, double share) {
  auto forms = kv_forms(facts.config, ranks, share);
  if (!facts.converted) return forms;
  std::erase_if(forms, [&](const KvForm& form) { return form.name == facts.converted->variant; });
  for (auto& form : forms) form.own = false;
  forms.insert(forms.begin(), facts.converted->form);
  return forms;
}

// "at 25 % of the cache, left out: mla_identity (one size, or too few numbers)"
std::string left_out_text(const DecoderConfig& c, const std::vector<KvForm>& forms, double share) {
  if (share >= 1 || c.mla) return "";
  std::vector<std::string> names;
  for (const auto& name : variant_names_for(c.attention_shape()))
    if (std::none_of(forms.begin(), forms.end(), [&](const KvForm& form) { return form.name == name; }))
      names.push_back(name);
  if (names.empty()) return "";
  return fmt::format("  not at {:.4g} % of the cache at their other defaults: {}\n", 100 * share, join(names));
}

}  // namespace

std::string format_report(const ModelFacts& facts, const LatentRanks& ranks, const KvDemand& demand) {
  const DecoderConfig& c = facts.config;
  const ParameterCounts counts = counts_of(facts);
  const auto forms = forms_of(facts, ranks, demand.share);
  std::string text = fmt::format("{}\n{}\nParameters: {}{}\n{}\n", facts.source.string(),
                                 shape_text(facts, forms.front(), counts), grouped(counts.total()),
                                 count_text(counts.total()), parameter_text(counts));
  text += fmt::format("KV cache of {} sequence{} of {} tokens at {} bits\n{}", grouped(demand.batch),
                      demand.batch == 1 ? "" : "s", grouped(demand.context), demand.bits,
                      form_text(c, forms, demand));
  text += left_out_text(c, forms, demand.share);
  if (c.window > 0 && demand.context > c.window)
    text += fmt::format("  Layers with a window keep {} of the {} tokens.\n", grouped(c.window),
                        grouped(demand.context));
  if (forms.back().numbers > forms.front().numbers)
    text += fmt::format(
        "  {} keeps more than this model does: choose smaller --kv-lora-rank and "
        "--qk-rope-head-dim.\n",
        forms.back().name);
  return text;
}

nlohmann::ordered_json report_json(const ModelFacts& facts, const LatentRanks& ranks, const KvDemand& demand) {
  const DecoderConfig& c = facts.config;
  const ParameterCounts n = counts_of(facts);
  nlohmann::ordered_json out{{"source", facts.source.string()},
                             {"family", name_of(c.family)},
                             {"config", fields_json(flatten(c))},
                             {"dtype", facts.dtype},
                             {"weights", nullptr}};
  if (facts.converted)
    out["converted"] = {{"variant", facts.converted->variant},
                        {"options", fields_json(facts.converted->options)}};
  if (facts.weights)
    out["weights"] = {{"tensors", facts.weights->tensors},
                      {"parameters", facts.weights->parameters},
                      {"dtypes", facts.weights->dtypes}};
  out["parameters"] = {{"total", n.total()},
                       {"embedding", n.embedding},
                       {"output", n.output},
                       {"attention", n.attention},
                       {"mlp", n.mlp},
                       {"norms", n.norms},
                       {"active_per_token", n.active}};
  out["demand"] = {{"context", demand.context},
                   {"batch", demand.batch},
                   {"kv_bits", demand.bits},
                   {"cached_tokens_of_all_layers", cached_tokens(c, demand.context)}};
  const auto forms = forms_of(facts, ranks, demand.share);
  for (const auto& form : forms)
    out["forms"].push_back({{"form", form.name},
                            {"own", form.own},
                            {"kept_per_token_and_layer", form.numbers},
                            {"state_numbers", form.state_numbers},
                            {"numbers_per_token", form.numbers * c.n_layers},
                            {"bytes_per_token", static_cast<double>(form.numbers * c.n_layers) *
                                                    static_cast<double>(demand.bits) / 8},
                            {"cache_bytes", cache_bytes(c, form, demand)},
                            {"attention_parameters", form.attention_params},
                            {"extra_parameters", form.attention_params - forms.front().attention_params}});
  return out;
}

}  // namespace attnlab
