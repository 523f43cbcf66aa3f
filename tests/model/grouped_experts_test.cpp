// A mixture's experts as groups of rows: against loops in double precision, against one expert after another,
// and recorded on a GPU.
#include "model/grouped_experts.h"

#include <cmath>
#include <functional>
#include <limits>

#include "catch.h"
#include "kernels/grouped.h"
#include "kernels/recorded.h"
#include "model/mlp.h"
#include "reference/experts_twin.h"
#include "small_decoder.h"

namespace attnlab {
namespace {

using torch::Tensor;

reference::Numbers numbers_of(const Tensor& tensor) {
  const auto x = tensor.detach().to(torch::kCPU, torch::kFloat64).contiguous();
  return {x.const_data_ptr<double>(), x.const_data_ptr<double>() + x.numel()};
}

double worst_difference(const Tensor& found, const Tensor& expected) {
  REQUIRE(found.sizes() == expected.sizes());
  const auto wide = [](const Tensor& x) { return x.detach().to(torch::kCPU, torch::kFloat64); };
  const double worst = (wide(found) - wide(expected)).abs().max().item<double>();
  return std::isnan(worst) ? INFINITY : worst;
}

struct RoutedRows {
  Tensor x_MD, expert_Mk, weight_Mk, upstream_MD;
  ExpertMatrices experts;

  RoutedRows(int64_t M, int64_t D, int64_t F, int64_t E, const Tensor& choice_Mk, torch::TensorOptions options)
      : expert_Mk(choice_Mk.to(options.device())) {
    torch::manual_seed(17);
    const auto random = [&](torch::IntArrayRef shape, double size) {
      return (torch::randn(shape) * size).to(options).requires_grad_();
    };
    x_MD = random({M, D}, 1);
    weight_Mk = torch::rand(choice_Mk.sizes()).to(options.device()).to(wide(options)).requires_grad_();
    upstream_MD = torch::randn({M, D}).to(options);
    for (int64_t e = 0; e < E; ++e) {
      experts.gate.push_back(random({F, D}, 1 / std::sqrt(D)));
      experts.up.push_back(random({F, D}, 1 / std::sqrt(D)));
      experts.down.push_back(random({D, F}, 1 / std::sqrt(F)));
    }
  }
  static torch::ScalarType wide(const torch::TensorOptions& options) {
    return c10::promoteTypes(c10::typeMetaToScalarType(options.dtype()), torch::kFloat32);
  }
  std::vector<Tensor> leaves() const {
    std::vector<Tensor> out{x_MD, weight_Mk};
    for (const auto* weights : {&experts.gate, &experts.up, &experts.down})
      out.insert(out.end(), weights->begin(), weights->end());
    return out;
  }
  // y, and the gradients of x, the weights, and all gates, ups and downs in one tensor each.
  std::vector<Tensor> run(bool gelu) const {
    const auto y = grouped_experts(x_MD, expert_Mk, weight_Mk, experts, gelu);
    const auto d = torch::autograd::grad({y}, leaves(), {upstream_MD.to(y.scalar_type())});
    const auto E = static_cast<std::ptrdiff_t>(experts.gate.size());
    const auto all = [&](std::ptrdiff_t place) {
      const auto first = d.begin() + 2 + place * E;
      return torch::stack(std::vector<Tensor>(first, first + E));
    };
    return {y, d[0], d[1], all(0), all(1), all(2)};
  }
  std::vector<Tensor> twin(bool gelu) const {
    const auto joined = [](const std::vector<Tensor>& weights) { return numbers_of(torch::stack(weights)); };
    const auto choice = expert_Mk.to(torch::kCPU).contiguous();
    const reference::ExpertsTwin twin{
        .M = x_MD.size(0),
        .D = x_MD.size(1),
        .F = experts.gate[0].size(0),
        .E = std::ssize(experts.gate),
        .k = choice.size(1),
        .gelu = gelu,
        .x_MD = numbers_of(x_MD),
        .weight_Mk = numbers_of(weight_Mk),
        .gate = joined(experts.gate),
        .up = joined(experts.up),
        .down = joined(experts.down),
        .expert_Mk = {choice.const_data_ptr<int64_t>(), choice.const_data_ptr<int64_t>() + choice.numel()}};
    const reference::Numbers upstream = numbers_of(upstream_MD);
    const auto r = reference::ExpertsRun(twin, upstream).result();
    const auto as = [](const reference::Numbers& values, torch::IntArrayRef shape) {
      return torch::tensor(values, torch::kFloat64).view(shape);
    };
    const int64_t M = twin.M, D = twin.D, F = twin.F, E = twin.E;
    return {as(r.y_MD, {M, D}),     as(r.dx_MD, {M, D}),  as(r.dweight_Mk, {M, twin.k}),
            as(r.dgate, {E, F, D}), as(r.dup, {E, F, D}), as(r.ddown, {E, D, F})};
  }
};

// What M tokens choose of E experts: each k different ones, none of them the expert `idle` (-1: any).
Tensor choice_of_experts(int64_t M, int64_t E, int64_t k, int64_t idle) {
  torch::manual_seed(5);
  auto scores_ME = torch::rand({M, E});
  if (idle >= 0) scores_ME.select(1, idle).fill_(-1);
  return std::get<1>(scores_ME.topk(k, -1));
}

// Errors are eps for each term summed along the chain (D, F, M k), times the largest number; a backward pass
// has two products per product.
void check_against_twin(const RoutedRows& problem, bool gelu, double eps) {
  const auto found = problem.run(gelu), expected = problem.twin(gelu);
  const double terms =
      static_cast<double>(problem.x_MD.size(1) + problem.experts.gate[0].size(0) + problem.expert_Mk.numel());
  for (size_t i = 0; i < expected.size(); ++i) {
    CAPTURE(i, gelu, eps);
    CHECK(worst_difference(found[i], expected[i]) <= 3 * terms * eps * expected[i].abs().max().item<double>());
  }
}

TEST_CASE("experts in groups and all their gradients are those of the naive twin") {
  const double eps = std::numeric_limits<double>::epsilon();
  for (const bool gelu : {false, true})
    for (const int64_t M : {1, 13, 63}) {
      check_against_twin({M, 7, 11, 5, choice_of_experts(M, 5, 3, 2), torch::kFloat64}, gelu, eps);
      check_against_twin({M, 7, 11, 5, torch::full({M, 1}, 3), torch::kFloat64}, gelu, eps);  // one gets all
      check_against_twin({M, 9, 6, 4, choice_of_experts(M, 4, 4, -1), torch::kFloat64}, gelu, eps);
    }
  check_against_twin({23, 7, 11, 5, choice_of_experts(23, 5, 2, 0), torch::kFloat32}, false,
                     std::numeric_limits<float>::epsilon());
}

TEST_CASE("an expert without a token has a gradient of zeros, one that is frozen has none") {
  RoutedRows p(9, 6, 5, 4, choice_of_experts(9, 4, 2, 1), torch::kFloat64);
  p.experts.up[2].requires_grad_(false);
  const auto y = grouped_experts(p.x_MD, p.expert_Mk, p.weight_Mk, p.experts, false);
  y.sum().backward();
  CHECK(p.experts.down[1].grad().abs().max().item<double>() == 0);
  CHECK(p.experts.down[0].grad().abs().max().item<double>() > 0);
  CHECK_FALSE(p.experts.up[2].grad().defined());
  CHECK(p.experts.up[3].grad().defined());
}

TEST_CASE("numbers that a router chooses and their gradient are those of a gather, on a GPU, too") {
  torch::manual_seed(3);
  const auto scores = torch::rand({7, 6}, torch::kFloat64), upstream = torch::randn({7, 3}, torch::kFloat64);
  const auto places = choice_of_experts(7, 6, 3, -1);
  const auto run = [&](torch::Device device, const auto& choose) {
    const auto leaf = scores.to(device).requires_grad_();
    const auto chosen = choose(leaf, places.to(device));
    return std::vector<Tensor>{chosen.detach().cpu(),
                               torch::autograd::grad({chosen}, {leaf}, {upstream.to(device)})[0].cpu()};
  };
  const auto expected = run(torch::kCPU, [](const Tensor& x, const Tensor& at) { return x.gather(1, at); });
  std::vector<torch::Device> devices{torch::kCPU};
  if (torch::cuda::is_available()) devices.emplace_back(torch::kCUDA);
  for (const auto device : devices) {
    const auto found = run(device, [](const Tensor& x, const Tensor& at) { return chosen_scores(x, at); });
    for (size_t i = 0; i < found.size(); ++i) CHECK(torch::equal(found[i], expected[i]));
  }
}

TEST_CASE("matrices that lie side by side keep their values and give the same bits") {
  RoutedRows p(9, 6, 5, 4, choice_of_experts(9, 4, 2, -1), torch::kFloat64);
  const auto apart = p.run(false);
  std::vector<Tensor> copies;
  for (const auto& weight : p.experts.up) copies.push_back(weight.detach().clone());
  stack_in_place(p.experts.up);
  const auto* first = p.experts.up[0].const_data_ptr<double>();
  for (size_t e = 0; e < copies.size(); ++e) {
    CHECK(torch::equal(p.experts.up[e], copies[e]));
    CHECK(p.experts.up[e].requires_grad());
    CHECK(p.experts.up[e].const_data_ptr<double>() == first + e * 30);
  }
  stack_in_place(p.experts.up);
  CHECK(p.experts.up[0].const_data_ptr<double>() == first);
  const auto together = p.run(false);
  for (size_t i = 0; i < apart.size(); ++i) CHECK(torch::equal(together[i], apart[i]));

  // What shares its memory with others stays with them.
  const auto whole = torch::zeros({3, 2, 4});
  const std::vector<Tensor> parts{whole[2], whole[1]};
  stack_in_place(parts);
  whole.fill_(1);
  CHECK(parts[0].min().item<float>() == 1);
}

DecoderConfig with_moe(Family family, const MoeShape& moe, int64_t d_model) {
  DecoderConfig config = family == Family::mixtral ? test::small_config() : test::small_experts();
  config.family = family;
  config.d_model = d_model;
  config.d_ff = moe.d_ff;
  config.moe = moe;
  return config;
}

struct Mixture {
  std::string name;
  DecoderConfig config;
};

// Mixtral's router, DeepSeek-V2's with groups and shared experts, V3's with sigmoids and a bias.
std::vector<Mixture> mixtures(int64_t d_model, int64_t d_ff) {
  return {
      {"mixtral", with_moe(Family::mixtral, {.n_experts = 5, .experts_per_token = 2, .d_ff = d_ff}, d_model)},
      {"deepseek_v2", with_moe(Family::deepseek_v2,
                               {.n_experts = 6,
                                .experts_per_token = 3,
                                .d_ff = d_ff,
                                .n_shared = 2,
                                .n_groups = 3,
                                .groups_per_token = 2,
                                .normalised = false,
                                .scale = 3},
                               d_model)},
      {"deepseek_v3", with_moe(Family::deepseek_v3,
                               {.n_experts = 6,
                                .experts_per_token = 2,
                                .d_ff = d_ff,
                                .n_shared = 1,
                                .score = RouterScore::sigmoid,
                                .n_groups = 3,
                                .groups_per_token = 2,
                                .scale = 2.5},
                               d_model)}};
}

std::shared_ptr<MoeMlp> random_mixture(const DecoderConfig& config, torch::ScalarType dtype) {
  const torch::NoGradGuard no_grad;
  const auto mlp = std::make_shared<MoeMlp>(config, config.d_model);
  torch::manual_seed(23);
  for (auto& parameter : mlp->named_parameters()) {
    auto& tensor = parameter.value();
    const double fan_in = static_cast<double>(tensor.size(-1));
    tensor.set_data(torch::randn(tensor.sizes(), torch::kFloat64) / std::sqrt(fan_in));
  }
  mlp->to(dtype);
  return mlp;
}

// y and the gradients by their parameters' names, "x" among them; experts that are left out have none.
TensorMap trained_mixture(MoeMlp& mlp, const Tensor& x_in,
                          const std::function<Tensor(const Tensor&)>& forward) {
  mlp.zero_grad();
  const auto x = x_in.detach().clone().requires_grad_();
  const auto y = forward(x);
  y.sin().sum().backward();
  TensorMap out{{"y", y.detach()}, {"x", x.grad()}};
  for (const auto& parameter : mlp.named_parameters())
    if (parameter.value().grad().defined()) out[parameter.key()] = parameter.value().grad().clone();
  return out;
}

TEST_CASE("a mixture in groups is the mixture of one expert after another, whatever the router") {
  for (const auto& [name, config] : mixtures(10, 7)) {
    const auto mlp = random_mixture(config, torch::kFloat64);
    torch::manual_seed(29);
    // Zeros are ties: all experts have one score, and then the first ones get all tokens.
    for (const auto& x : {torch::randn({2, 17, 10}, torch::kFloat64), torch::zeros({1, 5, 10}, torch::kFloat64),
                          torch::randn({1, 1, 10}, torch::kFloat64)}) {
      INFO(name << ", tokens " << x.size(0) * x.size(1));
      const auto apart = trained_mixture(*mlp, x, [&](const Tensor& in) { return mlp->forward(in); });
      const auto groups =
          trained_mixture(*mlp, x, [&](const Tensor& in) { return mlp->forward_in_groups(in); });
      for (const auto& [of, tensor] : groups) {
        CAPTURE(of);
        const auto expected = apart.count(of) ? apart.at(of) : torch::zeros_like(tensor);
        // eps · (10 + 7 + 102 terms) · three products for each.
        CHECK(worst_difference(tensor, expected) <=
              3 * 119 * 2.3e-16 * std::max(1.0, expected.abs().max().item<double>()));
      }
      for (const auto& [of, tensor] : apart) CHECK(groups.count(of) == 1);
    }
  }
}

TEST_CASE("a mixture in groups keeps a name for each expert's matrices") {
  const auto config = mixtures(10, 7)[0].config;
  const auto mlp = random_mixture(config, torch::kFloat64);
  TensorMap before;
  for (const auto& item : mlp->named_parameters()) before[item.key()] = item.value().detach().clone();
  mlp->forward_in_groups(torch::ones({1, 4, 10}, torch::kFloat64));
  CHECK(mlp->named_parameters().size() == before.size());
  for (const auto& item : mlp->named_parameters()) CHECK(torch::equal(item.value(), before.at(item.key())));
  CHECK(before.count("experts.4.w2.weight") == 1);
  CHECK(mlp->named_parameters()["experts.4.w2.weight"].storage_offset() == 4 * 7 * 10);
}

TEST_CASE("on a GPU grouped products in bfloat16 are near those of the naive twin, empty groups and all") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  if (!has_grouped_products(torch::kCUDA, torch::kBFloat16)) SKIP_TEST("no grouped products on this GPU");
  const auto options = torch::dtype(torch::kBFloat16).device(torch::kCUDA);
  for (const int64_t M : {1, 63, 500}) {
    RoutedRows p(M, 48, 40, 5, choice_of_experts(M, 5, 2, 2), options);
    const auto expected = p.twin(false);
    for (const bool together : {false, true}) {
      if (together)
        for (const auto* weights : {&p.experts.gate, &p.experts.up, &p.experts.down}) stack_in_place(*weights);
      torch::empty({1 << 22}, options).fill_(NAN);  // what a kernel leaves unwritten is seen
      const auto found = p.run(false);
      for (size_t i = 0; i < found.size(); ++i) {
        CAPTURE(M, together, i);
        // Gate, up, what is between, the result, and in the backward pass as many more, are rounded to 2^-9 of
        // themselves; rows of a normal matrix keep errors as large as they find them.
        CHECK(worst_difference(found[i], expected[i]) <= 10 * 0x1p-9 * expected[i].abs().max().item<double>());
      }
      for (const size_t weights : {3, 4, 5}) CHECK(found[weights][2].abs().max().item<double>() == 0);
    }
  }
}

// Waiting for the device while a recording is made is an error of CUDA's.
TEST_CASE("on a GPU a mixture's passes forward and back wait for nothing: they are recorded") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  if (!has_grouped_products(torch::kCUDA, torch::kBFloat16)) SKIP_TEST("no grouped products on this GPU");
  for (const auto& [name, config] : mixtures(64, 32)) {
    INFO(name);
    const auto mlp = random_mixture(config, torch::kFloat64);
    mlp->to(torch::kCUDA, torch::kBFloat16);
    CHECK_FALSE(mlp->reads_device(torch::kCUDA, torch::kBFloat16));
    CHECK(mlp->reads_device(torch::kCUDA, torch::kFloat32));
    torch::manual_seed(31);
    const auto options = torch::dtype(torch::kBFloat16).device(torch::kCUDA);
    const auto first = torch::randn({2, 77, 64}, options), second = torch::randn({2, 77, 64}, options);
    const auto x = first.clone().requires_grad_();
    std::vector<Tensor> parameters{x};
    for (const auto& parameter : mlp->parameters())
      if (parameter.requires_grad()) parameters.push_back(parameter);
    const auto compute = [&] {
      const auto y = mlp->forward(x);
      auto out = torch::autograd::grad({y.sin().sum()}, parameters);
      out.push_back(y.detach());
      return out;
    };
    compute();
    std::vector<Tensor> recorded;
    Recorder recorder(torch::kCUDA);
    const auto recording = recorder.record([&] { recorded = compute(); });
    for (const auto& input : {second, first}) {
      {
        const torch::NoGradGuard no_grad;
        x.copy_(input);
      }
      recording->replay();
      const auto launched = compute();
      for (size_t i = 0; i < launched.size(); ++i) {
        CAPTURE(i);
        // The router's and the shared experts' products may be summed in another order.
        CHECK(worst_difference(recorded[i], launched[i]) <=
              10 * 0x1p-9 * launched[i].abs().max().item<double>());
      }
    }
  }
}

}  // namespace
}  // namespace attnlab
