#include "attention/torch_script.h"

#include <fmt/format.h>
#include <torch/script.h>

#include <filesystem>
#include <vector>

#include "attention/attention.h"
#include "core/errors.h"
#include "core/json.h"

namespace attnlab {
namespace {

using Script = torch::jit::script::Module;

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

bool has_method(const Script& module, const char* name) { return module.find_method(name).has_value(); }

// A call into the module; what it throws is the user's.
torch::IValue call(const Script& module, const std::string& path, const char* name,
                   std::vector<torch::IValue> arguments) {
  try {
    return module.get_method(name)(std::move(arguments));
  } catch (const std::exception& error) {
    throw RunError(fmt::format("{}: {}: {}", path, name, first_line(error.what())));
  }
}

class ScriptedMixer final : public Mixer {
 public:
  ScriptedMixer(const AttentionShape& shape, const TorchScript::Config& config)
      : Mixer(shape), path_(config.path), module_(torch::jit::load(config.path)) {
    for (const auto& parameter : module_.named_parameters()) adopt(parameter.name, parameter.value);
    if (!has_method(module_, "step")) return;
    for (const auto& tensor : call(module_, path_, "initial_state", {int64_t{1}}).toTensorVector())
      state_sizes_.push_back(tensor.sizes().slice(1).vec());
  }

  StateLayout state_layout() const override {
    if (state_sizes_.empty()) return {{.name = "input", .width = shape_.d_model}};
    StateLayout layout;
    for (size_t i = 0; i < state_sizes_.size(); ++i)
      layout.push_back({.name = fmt::format("state{}", i),
                        .width = c10::multiply_integers(state_sizes_[i]),
                        .extent = Extent::fixed});
    return layout;
  }
  // Of its matrices: what it does between them is its own.
  double forward_flops_per_token(int64_t) const override { return matrix_flops(); }
  std::vector<std::string> query_and_output_parts() const override { return {"q_proj", "q_norm", "o_proj"}; }
  bool wants_rows_to_end_alike() const override { return true; }

 protected:
  torch::Tensor mix(const MixerInput& input) override {
    if (!state_sizes_.empty() && input.state) return stepped(input);
    AttentionPass pass(input, 0);
    const auto x_BSD = pass.remember(0, input.x_BTD);
    const auto [cos, sin] = pass.kept_tables();
    const int64_t B = x_BSD.size(0), S = x_BSD.size(1), T = input.x_BTD.size(1);
    const auto y_BSD =
        call(module_, path_, "forward", {x_BSD, cos, sin, all_valid(input, B, S), all_starts(input, B, S)})
            .toTensor();
    check(y_BSD, x_BSD);
    return y_BSD.narrow(1, S - T, T);
  }

 private:
  // The module's own tensor under the same name here: moved, loaded and trained as one.
  void adopt(const std::string& name, const torch::Tensor& value) {
    torch::nn::Module* parent = this;
    size_t begin = 0;
    for (size_t dot = name.find('.'); dot != std::string::npos; begin = dot + 1, dot = name.find('.', begin)) {
      const std::string part = name.substr(begin, dot - begin);
      const auto children = parent->named_children();
      const auto* child = children.find(part);
      parent = child ? child->get()
                     : parent->register_module(part, std::make_shared<torch::nn::Module>("scripted")).get();
    }
    const auto tensor = ShapesOnly::active() ? empty_parameter(value.sizes()) : value;
    parent->register_parameter(name.substr(begin), tensor, /*requires_grad=*/true);
  }

  torch::Tensor stepped(const MixerInput& input) {
    const int64_t B = input.x_BTD.size(0), T = input.x_BTD.size(1);
    std::vector<torch::Tensor> state;
    if (input.sequence->begin() == 0) {
      state = call(module_, path_, "initial_state", {B}).toTensorVector();
      for (auto& tensor : state) tensor = tensor.to(input.x_BTD.device());
    } else {
      for (size_t i = 0; i < state_sizes_.size(); ++i) {
        std::vector<int64_t> sizes{B};
        sizes.insert(sizes.end(), state_sizes_[i].begin(), state_sizes_[i].end());
        state.push_back(input.state->fixed(i).view(sizes));
      }
    }
    const auto bools = torch::dtype(torch::kBool).device(input.x_BTD.device());
    const auto valid = input.sequence->valid_BT(), starts = input.sequence->starts_BT();
    const auto& [cos, sin] = input.sequence->new_rotary(input.rotary);
    const auto out = call(module_, path_, "step",
                          {input.x_BTD, cos, sin, valid.defined() ? valid : torch::ones({B, T}, bools),
                           starts.defined() ? starts.expand({B, T}) : torch::zeros({B, T}, bools), state})
                         .toTuple();
    const auto y_BTD = out->elements().at(0).toTensor();
    check(y_BTD, input.x_BTD);
    const auto next = out->elements().at(1).toTensorVector();
    if (next.size() != state_sizes_.size()) throw RunError(path_ + ": step: another number of states");
    for (size_t i = 0; i < next.size(); ++i) input.state->replace(i, next[i].reshape({B, 1, -1}));
    return y_BTD;
  }

  void check(const torch::Tensor& y, const torch::Tensor& x) const {
    if (y.sizes() != x.sizes())
      throw RunError(
          fmt::format("{}: an output of {} numbers for an input of {}", path_, y.numel(), x.numel()));
  }

  // Of all columns that are looked at.
  static torch::Tensor all_valid(const MixerInput& input, int64_t B, int64_t S) {
    const auto bools = torch::dtype(torch::kBool).device(input.x_BTD.device());
    if (input.state && input.state->valid().defined()) return input.state->valid().squeeze(1);
    const auto& padding_B1 = input.sequence->padding_B1();
    if (!padding_B1.defined()) return torch::ones({B, S}, bools);
    return (torch::arange(S, padding_B1.options()) >= padding_B1).expand({B, S});
  }
  static torch::Tensor all_starts(const MixerInput& input, int64_t B, int64_t S) {
    const auto bools = torch::dtype(torch::kBool).device(input.x_BTD.device());
    const auto starts = input.sequence->starts_BT();
    if (starts.defined() && starts.size(1) == S) return starts.expand({B, S});
    const auto& padding_B1 = input.sequence->padding_B1();
    if (!padding_B1.defined()) return torch::zeros({B, S}, bools);
    return (torch::arange(S, padding_B1.options()) == padding_B1).expand({B, S});
  }

  std::string path_;
  Script module_;
  std::vector<std::vector<int64_t>> state_sizes_;  // without the batch; empty: no state
};

}  // namespace

std::optional<BadInput> TorchScript::problem(const AttentionShape& shape, const Config& config) {
  if (auto mla = mla_base_problem(shape)) return mla;
  const auto bad = [&](std::string found) {
    return BadInput{.key = "path",
                    .found = std::move(found),
                    .expected = "a scripted module with forward(x, cos, sin, valid, starts)"};
  };
  if (config.path.empty()) return bad("nothing");
  if (!std::filesystem::is_regular_file(config.path)) return bad(printable(config.path) + ", which is no file");
  try {
    const Script module = torch::jit::load(config.path);
    if (!has_method(module, "forward")) return bad("a module without forward");
    const auto arguments = module.get_method("forward").function().getSchema().arguments().size();
    if (arguments != 6) return bad(fmt::format("a forward of {} arguments", arguments - 1));
    if (has_method(module, "step") != has_method(module, "initial_state"))
      return bad("only one of step and initial_state");
  } catch (const std::exception& error) {
    return bad(printable(first_line(error.what())));
  }
  return std::nullopt;
}

std::shared_ptr<Mixer> TorchScript::make(const AttentionShape& shape, const Config& config) {
  return std::make_shared<ScriptedMixer>(shape, config);
}

TensorMap TorchScript::from_gqa(const AttentionShape&, const Config& config, const GqaWeights& gqa) {
  const Script module = torch::jit::load(config.path);
  TensorMap out;
  if (!has_method(module, "from_gqa")) {
    for (const auto& parameter : module.named_parameters())
      out[parameter.name] = parameter.value.detach().to(gqa.q_weight.options()).contiguous();
    return out;
  }
  c10::Dict<std::string, torch::Tensor> base;
  for (const auto& [name, tensor] : all_projections(gqa)) base.insert(name, tensor);
  const auto made = call(module, config.path, "from_gqa", {base}).toGenericDict();
  for (const auto& entry : made)
    out[entry.key().toStringRef()] = entry.value().toTensor().detach().to(gqa.q_weight.options()).contiguous();
  for (const auto& parameter : module.named_parameters()) {
    const auto found = out.find(parameter.name);
    if (found != out.end() && found->second.sizes() == parameter.value.sizes()) continue;
    throw RunError(fmt::format("{}: from_gqa gives no {} of its shape", config.path, parameter.name));
  }
  return out;
}

}  // namespace attnlab
