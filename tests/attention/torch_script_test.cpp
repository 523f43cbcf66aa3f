// A scripted module as a variant: its parameters, its cache or state, and what is refused.
#include "attention/torch_script.h"

#include <torch/script.h>

#include "attention/gqa.h"
#include "catch.h"
#include "core/files.h"
#include "python.h"
#include "support.h"

namespace attnlab::test {
namespace {

// Weighted means over the tokens so far in a document: y = W_o Σ_s v_s / count, and as a recurrence.
constexpr const char* kForward = R"(
def forward(self, x, cos, sin, valid, starts):
    v = torch.matmul(x, self.v_proj.t()) * valid.to(x.dtype).unsqueeze(-1)
    document = starts.long().cumsum(1)
    T = x.size(1)
    sees = torch.ones([T, T], dtype=x.dtype, device=x.device).tril() * (document.unsqueeze(2) == document.unsqueeze(1)).to(x.dtype)
    count = torch.matmul(sees, valid.to(x.dtype).unsqueeze(-1)).clamp(min=1.)
    return torch.matmul(torch.matmul(sees, v) / count, self.o_proj.t())
)";
constexpr const char* kStep = R"(
def initial_state(self, B: int) -> List[Tensor]:
    return [self.v_proj.new_zeros([B, self.v_proj.size(0)]), self.v_proj.new_zeros([B, 1])]

def step(self, x, cos, sin, valid, starts, state: List[Tensor]) -> Tuple[Tensor, List[Tensor]]:
    total = state[0]
    count = state[1]
    means: List[Tensor] = []
    for t in range(x.size(1)):
        keeps = 1. - starts[:, t].to(x.dtype).unsqueeze(-1)
        adds = valid[:, t].to(x.dtype).unsqueeze(-1)
        total = keeps * total + adds * torch.matmul(x[:, t], self.v_proj.t())
        count = keeps * count + adds
        means.append(total / count.clamp(min=1.))
    return torch.matmul(torch.stack(means, 1), self.o_proj.t()), [total, count]
)";
constexpr const char* kFromGqa = R"(
def from_gqa(self, base: Dict[str, Tensor]) -> Dict[str, Tensor]:
    return {"v_proj": base["v_proj.weight"], "o_proj": base["o_proj.weight"][:, :self.v_proj.size(0)]}
)";

std::string saved(const TemporaryFolder& folder, const AttentionShape& shape,
                  const std::vector<const char*>& methods) {
  torch::jit::script::Module module("Mean");
  const int64_t width = shape.n_kv_heads * shape.head_dim;
  torch::manual_seed(5);
  module.register_parameter("v_proj", torch::randn({width, shape.d_model}, kDouble), false);
  module.register_parameter("o_proj", torch::randn({shape.d_model, width}, kDouble), false);
  for (const char* method : methods) module.define(method);
  const auto path = (folder.path() / "mean.pt").string();
  module.save(path);
  return path;
}

MixerInput padded(const Tokens& tokens, const std::vector<int64_t>& padding, int64_t from, int64_t T,
                  LayerState* state) {
  Tokens own = tokens;
  own.parts.padding_B1 = torch::tensor(padding).unsqueeze(1);
  return own.pass(from, T, state);
}

TEST_CASE("torchscript: with a state or with its inputs kept, decoding equals the full pass, padded rows too") {
  const torch::NoGradGuard no_grad;
  Size size = odd_sizes()[0];
  size.B = 2;
  size.T = 21;
  for (const bool has_step : {false, true}) {
    INFO("step " << has_step);
    const TemporaryFolder folder;
    std::vector<const char*> methods{kForward};
    if (has_step) methods.push_back(kStep);
    const TorchScript::Config config{.path = saved(folder, size.shape, methods)};
    REQUIRE_FALSE(TorchScript::problem(size.shape, config));
    const auto module = TorchScript::make(size.shape, config);
    CHECK(numbers_per_token(module->state_layout()) == (has_step ? 0 : size.shape.d_model));
    CHECK(fixed_numbers(module->state_layout()) == (has_step ? 2 * 10 + 1 : 0));
    const auto input = random_input(size, kDouble, 22);
    const std::vector<int64_t> padding{0, 6};
    const auto expected = module->forward(padded(input, padding, 0, size.T, nullptr));
    LayerState state(module->state_layout(), size.B, size.T, input.x_BTD.options());
    std::vector<torch::Tensor> outputs{module->forward(padded(input, padding, 0, 9, &state))};
    for (int64_t t = 9; t < size.T; ++t)
      outputs.push_back(module->forward(padded(input, padding, t, 1, &state)));
    const auto stepped = torch::cat(outputs, 1);
    const double bound = tolerance(size, kDouble, expected);
    CHECK(close(stepped[0], expected[0], bound));
    CHECK(close(stepped[1].narrow(0, 6, 15), expected[1].narrow(0, 6, 15), bound));
  }
}

TEST_CASE("torchscript: parameters are trained, moved and started as any others") {
  const Size size = odd_sizes()[0];
  const TemporaryFolder folder;
  const TorchScript::Config config{.path = saved(folder, size.shape, {kForward, kFromGqa})};
  const auto module = TorchScript::make(size.shape, config);
  const auto parameters = module->named_parameters();
  REQUIRE(parameters.size() == 2);
  const auto input = random_input(size, kDouble, 22);
  const auto before = module->forward(input);
  before.square().sum().backward();
  CHECK(parameters["v_proj"].grad().abs().max().item<double>() > 0);
  {
    const torch::NoGradGuard no_grad;
    parameters["o_proj"].mul_(2);  // the scripted module's own
  }
  CHECK(close(module->forward(input), 2 * before, tolerance(size, kDouble, 2 * before)));
  module->to(torch::kFloat32);
  CHECK(module->forward(random_input(size, torch::kFloat32, 22)).scalar_type() == torch::kFloat32);
  const auto gqa = random_attention(size, Gqa::Config{}, kDouble, 21);
  const auto start = TorchScript::from_gqa(size.shape, config, gqa_weights(*gqa));
  CHECK(torch::equal(start.at("v_proj"), gqa_weights(*gqa).v_weight));
}

TEST_CASE("torchscript: the template is GQA, alone, padded and while decoding") {
  const std::string python = python_with("torch");
  if (python.empty()) SKIP_TEST("no Python with torch");
  const torch::NoGradGuard no_grad;
  Size size = odd_sizes()[0];  // 37, 6 heads, 2 KV heads of 10, biases
  size.B = 2;
  const TemporaryFolder folder;
  const auto path = (folder.path() / "gqa.pt").string();
  const auto script = (source_dir() / "scripts" / "variant_template.py").string();
  const std::string sizes = " --d-model 37 --heads 6 --kv-heads 2 --head-dim 10 --bias --o-bias";
  REQUIRE(std::system((python + " " + script + " " + path + sizes + " >/dev/null 2>&1").c_str()) == 0);
  const auto gqa = random_attention(size, Gqa::Config{}, kDouble, 21);
  const auto module = converted(*gqa, TorchScript::Config{.path = path});
  const auto input = random_input(size, kDouble, 22);
  const std::vector<int64_t> padding{0, 6};
  const auto expected = gqa->forward(padded(input, padding, 0, size.T, nullptr));
  const auto found = module->forward(padded(input, padding, 0, size.T, nullptr));
  const double bound = 2 * tolerance(size, kDouble, expected);
  CHECK(close(found[0], expected[0], bound));
  CHECK(close(found[1].narrow(0, 6, size.T - 6), expected[1].narrow(0, 6, size.T - 6), bound));
  LayerState state(module->state_layout(), size.B, size.T, input.x_BTD.options());
  module->forward(padded(input, padding, 0, size.T - 1, &state));
  const auto last = module->forward(padded(input, padding, size.T - 1, 1, &state));
  CHECK(close(last, expected.narrow(1, size.T - 1, 1), bound));
}

TEST_CASE("torchscript: files that are none, and modules without what is needed, are refused by the key") {
  const AttentionShape shape = odd_sizes()[0].shape;
  const TemporaryFolder folder;
  const auto refusal = [&](const std::string& path) {
    const auto problem = TorchScript::problem(shape, {.path = path});
    return problem ? describe(*problem) : "accepted";
  };
  CHECK_THAT(refusal(""), ContainsSubstring("path: found nothing"));
  CHECK_THAT(refusal("/no/such.pt"), ContainsSubstring("which is no file"));
  write_file_atomic(folder.path() / "text.pt", "no archive");
  CHECK_THAT(refusal((folder.path() / "text.pt").string()), ContainsSubstring("path: found"));
  CHECK_THAT(refusal(saved(folder, shape, {kFromGqa})), ContainsSubstring("without forward"));
  CHECK_THAT(refusal(saved(folder, shape, {"def forward(self, x):\n    return x\n"})),
             ContainsSubstring("a forward of 1 arguments"));
  CHECK(refusal(saved(folder, shape, {kForward})) == "accepted");
}

}  // namespace
}  // namespace attnlab::test
