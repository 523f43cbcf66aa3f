// Whole checkpoints of Mamba, Mamba-2 and RWKV-4: logits, loss, gradients, greedy tokens, states, left padding.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "checkpoint/checkpoint.h"
#include "core/json.h"
#include "crosscheck/mixer_cases.h"
#include "model/decoder_weights.h"
#include "model/families/families.h"
#include "model/generate.h"

namespace attnlab {
namespace {

constexpr Allowed kNear{.relative = 2e-5}, kGradients{.relative = 1e-4};

// A decoder in double precision, and what other software said of it.
struct CheckpointCase {
  ModelForm form;
  Decoder decoder;
  SafetensorsFile reference;
  nlohmann::json facts;
  torch::Tensor ids_BT;

  explicit CheckpointCase(const std::filesystem::path& folder, const Checkpoint& checkpoint)
      : form(read_checkpoint_form(checkpoint)),
        decoder(form),
        reference(SafetensorsFile::open(folder / "reference.safetensors")),
        facts(parse_json_map(folder / "reference.json")),
        ids_BT(reference.tensor("input_ids").to(torch::kInt64)) {
    load_weights(decoder, read_base_weights(checkpoint, form.config));
    decoder.to(torch::kFloat64);
  }
  torch::Tensor expected(const std::string& name) const { return reference.tensor(name).to(torch::kFloat64); }
  torch::Tensor logits(const torch::Tensor& of_BT, const DecoderContext& context = {}) {
    return decoder.logits(decoder.hidden(of_BT, context));
  }
};

torch::Tensor next_token_loss(const torch::Tensor& logits_BTV, const torch::Tensor& ids_BT) {
  const int64_t T = ids_BT.size(1);
  return at::cross_entropy_loss(logits_BTV.narrow(1, 0, T - 1).flatten(0, 1),
                                ids_BT.narrow(1, 1, T - 1).flatten());
}

void check_gradients(CheckpointCase& of, CaseCheck& check) {
  const auto& stated = of.facts.at("grad_norm_and_sum");
  int64_t found = 0;
  for (const auto& item : of.decoder.named_parameters()) {
    const auto name = file_tensor(of.form.config, item.key()).name;
    const auto& gradient = item.value().grad();
    if (const auto numbers = stated.find(name); numbers != stated.end()) {
      ++found;
      const double norm = numbers->at(0).get<double>();
      check.compare("norm of grad " + name, gradient.norm().item<double>(), norm, kGradients);
      // Errors of a ten-thousandth of the norm, which may all have one sign.
      const double sum_error = 1e-4 * norm * std::sqrt(static_cast<double>(gradient.numel()));
      check.compare("sum of grad " + name, gradient.sum().item<double>(), numbers->at(1).get<double>(),
                    {.absolute = sum_error});
    }
    std::string key = "grad/" + name;
    std::replace(key.begin(), key.end(), '.', '/');
    if (of.reference.has(key)) check.compare(key, gradient, of.expected(key), kGradients);
  }
  check.expect("every stated gradient belongs to a parameter", found == static_cast<int64_t>(stated.size()));
}

// What is kept behind the prompt, in the other software's form.
void check_states(CheckpointCase& of, CaseCheck& check) {
  const torch::NoGradGuard no_grad;
  const int64_t prompt = of.facts.at("prompt").get<int64_t>();
  auto states = of.decoder.make_states(of.ids_BT.size(0), prompt);
  of.decoder.hidden(of.ids_BT.narrow(1, 0, prompt), {.states = &states});
  const auto all = [&](const std::function<torch::Tensor(const LayerState&)>& part, int64_t dim) {
    std::vector<torch::Tensor> layers;
    for (const auto& state : states) layers.push_back(part(state));
    return torch::stack(layers, dim);
  };
  const auto& form = *of.form.config.recurrent;
  if (form.kind == RecurrentKind::rwkv) {
    const std::array<const char*, 5> slots{"att_shift", "num", "den", "max", "ffn_shift"};
    for (size_t i = 0; i < slots.size(); ++i)
      check.compare(std::string("state/") + slots[i],
                    all([&](const LayerState& state) { return state.fixed(i).squeeze(1); }, 2),
                    of.expected(std::string("state/") + slots[i]), kNear);
    return;
  }
  const bool second = form.kind == RecurrentKind::mamba2;
  const auto ssm = all(
      [&](const LayerState& state) {
        return second ? state.fixed(0).unflatten(2, {form.state, -1}).transpose(2, 3) : state.fixed(0);
      },
      0);
  check.compare("state/ssm", ssm, of.expected("state/ssm"), kNear);
  if (form.conv_kernel < 2) return;
  // Theirs holds one input more, the oldest, which no later token sees.
  const auto conv = all([](const LayerState& state) { return state.fixed(1).transpose(1, 2); }, 0);
  check.compare("state/conv", conv, of.expected("state/conv").narrow(3, 1, form.conv_kernel - 1), kNear);
}

void check_generation(CheckpointCase& of, CaseCheck& check) {
  const torch::NoGradGuard no_grad;
  const int64_t prompt = of.facts.at("prompt").get<int64_t>(), T = of.ids_BT.size(1);
  const auto greedy = of.reference.tensor("greedy_ids").to(torch::kInt64).flatten();
  const std::vector<int64_t> all(greedy.data_ptr<int64_t>(), greedy.data_ptr<int64_t>() + greedy.numel());
  const std::vector<int64_t> begin(all.begin(), all.begin() + prompt);
  const auto tokens =
      generate(of.decoder, {begin}, {.max_new_tokens = greedy.numel() - prompt, .prefill_chunk = 5});
  check.equal("greedy_ids", torch::tensor(tokens.at(0)), greedy.narrow(0, prompt, greedy.numel() - prompt));

  auto states = of.decoder.make_states(of.ids_BT.size(0), T);
  std::vector<torch::Tensor> steps;
  for (int64_t t = 0; t < T; ++t)
    steps.push_back(of.logits(of.ids_BT.narrow(1, t, 1), {.sequence = {.begin = t}, .states = &states}));
  check.compare("logits step by step", torch::cat(steps, 1), of.expected("logits"), kNear);
}

// A row with padding in front gives what it gives alone; the other software's does where no bias leaks in.
void check_padding(CheckpointCase& of, CaseCheck& check) {
  if (!of.reference.has("padded_input_ids")) return;
  const torch::NoGradGuard no_grad;
  const auto ids_BT = of.reference.tensor("padded_input_ids").to(torch::kInt64);
  const auto mask_BT = of.reference.tensor("padded_mask").to(torch::kBool);
  const auto padding_B1 = mask_BT.logical_not().sum(1, true);
  const auto positions_BT = (torch::arange(ids_BT.size(1)).unsqueeze(0) - padding_B1).clamp_min(0);
  const auto logits =
      of.logits(ids_BT, {.sequence = {.padding_B1 = padding_B1, .rotary = of.decoder.rotary_at(positions_BT)}});
  for (int64_t b = 0; b < ids_BT.size(0); ++b) {
    const int64_t skip = padding_B1[b].item<int64_t>(), T = ids_BT.size(1) - skip;
    const auto own = logits.narrow(0, b, 1).narrow(1, skip, T);
    check.compare("a padded row against itself alone", own,
                  of.logits(ids_BT.narrow(0, b, 1).narrow(1, skip, T)), {.relative = 1e-12});
    if (of.facts.value("padded_minus_alone", 1.0) < 1e-4)
      check.compare("padded_logits", own, of.expected("padded_logits").narrow(0, b, 1).narrow(1, skip, T),
                    kNear);
  }
}

}  // namespace

void check_mixer_checkpoint(const std::filesystem::path& folder, CaseCheck& check) {
  const auto checkpoint = Checkpoint::open(folder);
  CheckpointCase of(folder, checkpoint);
  if (!of.form.config.recurrent) return check.not_checked("a checkpoint with attention");
  const auto logits = of.logits(of.ids_BT);
  check.compare("logits", logits, of.expected("logits"), kNear);
  const auto loss = next_token_loss(logits, of.ids_BT);
  check.compare("loss", loss.reshape({1}), of.expected("loss"), kNear);
  // The inference form of RWKV rescales the stream, which its norms' epsilon sees.
  if (of.reference.has("logits_eval"))
    check.compare("logits_eval", logits, of.expected("logits_eval"),
                  {.absolute = 2 * of.facts.value("eval_minus_train", 0.0), .relative = 2e-5});
  loss.backward();
  check_gradients(of, check);
  check_states(of, check);
  check_generation(of, check);
  check_padding(of, check);
}

}  // namespace attnlab
