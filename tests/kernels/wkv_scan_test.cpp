// The kernels of RWKV's recurrences, on the CPU and on a GPU, against the recurrences token by token in double
// precision.
#include "kernels/wkv_scan.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "../reference/wkv_twin.h"
#include "attention/wkv.h"
#include "catch.h"
#include "kernel_tensors.h"
#include "on_cpu/kernels_on_cpu.h"

namespace attnlab::test {
namespace {

using torch::Tensor;

constexpr int64_t kB = 2, kN = 2, kH = 64;

struct WkvCase {
  int64_t T, parts;
  bool delta, documents, begun, ends, half;  // ends: the loss depends on the last states

  int64_t length() const { return (T + parts - 1) / parts; }
  std::string text() const {
    return "T " + std::to_string(T) + ", parts " + std::to_string(parts) + (delta ? ", delta" : "") +
           (documents ? ", documents" : "") + (begun ? ", begun" : "") + (ends ? ", ends" : "") +
           (half ? ", bfloat16" : "");
  }
};

// As projections leave them: heads of a token side by side. Numbers that bfloat16 has, where half.
Tensor heads_of_tokens(int64_t T, bool half) {
  const auto x = torch::randn({kB, T, kN, kH}, torch::kFloat64).transpose(1, 2);
  return half ? x.to(torch::kBFloat16).to(torch::kFloat64) : x;
}

struct Problem {
  WkvScan scan;
  Tensor do_BNTV, dlast_BNpKV;
};

Problem random_problem(const WkvCase& of) {
  const auto heads = [&](bool half) { return heads_of_tokens(of.T, half); };
  Problem out;
  auto& scan = out.scan;
  scan.parts = of.parts;
  scan.length = of.length();
  scan.r_BNTK = heads(of.half);
  scan.k_BNTK = heads(of.half);
  scan.v_BNTV = heads(of.half);
  // From hardly any decay to e^-6 a token.
  scan.w_BNTK = -(1.5 * heads(false)).exp().clamp_max(6);
  if (of.delta) {
    const auto x = heads(false), unit = x / x.norm(2, -1, true);
    scan.a_BNTK = -unit;
    scan.b_BNTK = unit * torch::rand_like(unit);
  } else {
    scan.bonus_NK = torch::randn({kN, kH}, torch::kFloat64);
  }
  if (of.documents) {
    scan.begins_BT = torch::zeros({kB, of.T}, torch::kBool);
    for (const int64_t t : {int64_t{0}, of.T / 2, (of.T / 2 + 1) % of.T}) scan.begins_BT[1][t] = true;
  }
  const auto states = [&] { return torch::randn({kB, kN, of.parts, kH, kH}, torch::kFloat64); };
  if (of.begun) scan.first_BNpKV = states();
  out.do_BNTV = heads(false);
  if (of.ends) out.dlast_BNpKV = states();
  return out;
}

Named inputs_of(WkvScan& scan) {
  Named all;
  const auto add = [&](const char* name, const Tensor& x) {
    if (x.defined()) all.emplace_back(name, x);
  };
  add("r", scan.r_BNTK), add("w", scan.w_BNTK), add("k", scan.k_BNTK), add("v", scan.v_BNTV);
  add("a", scan.a_BNTK), add("b", scan.b_BNTK), add("bonus", scan.bonus_NK), add("first", scan.first_BNpKV);
  return all;
}

// All inputs as leaves, r, k and v in bfloat16 where half.
WkvScan leaves_of(WkvScan scan, torch::Device device, torch::ScalarType type, bool half) {
  const auto leaf = [&](Tensor& x, torch::ScalarType to) {
    if (x.defined()) x = x.detach().to(device, to).requires_grad_();
  };
  for (auto* x : {&scan.w_BNTK, &scan.a_BNTK, &scan.b_BNTK, &scan.bonus_NK, &scan.first_BNpKV}) leaf(*x, type);
  for (auto* x : {&scan.r_BNTK, &scan.k_BNTK, &scan.v_BNTV}) leaf(*x, half ? torch::kBFloat16 : type);
  if (scan.begins_BT.defined()) scan.begins_BT = scan.begins_BT.to(device);
  return scan;
}

// o, the last states, and the gradients of Σ o do + Σ last dlast.
Named by_autograd(const Problem& problem, WkvScan scan, WkvScanned (*recurrence)(const WkvScan&)) {
  const auto out = recurrence(scan);
  auto loss = (out.o_BNTV * problem.do_BNTV.to(out.o_BNTV.options())).sum();
  if (problem.dlast_BNpKV.defined())
    loss = loss + (out.last_BNpKV * problem.dlast_BNpKV.to(out.last_BNpKV.options())).sum();
  loss.backward();
  Named all{{"o", out.o_BNTV.detach()}, {"last", out.last_BNpKV.detach()}};
  for (const auto& [name, x] : inputs_of(scan))
    all.emplace_back(name, x.grad().defined() ? x.grad() : torch::zeros_like(x));
  return all;
}

// The same by the kernels on the CPU.
Named by_emulation(const Problem& problem, WkvScan scan) {
  const torch::NoGradGuard no_grad;
  const auto like = [](const Tensor& x) { return x.defined() ? torch::full_like(x, NAN) : x; };
  const auto& w = scan.w_BNTK;
  const cuda::WkvSizes sizes{.B = kB, .N = kN, .parts = scan.parts, .T = w.size(2), .length = scan.length};
  const cuda::WkvInputs in{.r = read_heads(scan.r_BNTK),
                           .w = read_heads(w),
                           .k = read_heads(scan.k_BNTK),
                           .v = read_heads(scan.v_BNTV),
                           .a = read_heads(scan.a_BNTK),
                           .b = read_heads(scan.b_BNTK),
                           .bonus = floats(scan.bonus_NK),
                           .begins = scan.begins_BT.defined() ? scan.begins_BT.data_ptr<bool>() : nullptr,
                           .first = floats(scan.first_BNpKV),
                           .delta = scan.a_BNTK.defined()};
  const Tensor o = like(w), u = in.delta ? like(w) : Tensor(),
               last = torch::full({kB, kN, scan.parts, kH, kH}, NAN, w.options());
  wkv_scan_on_cpu(sizes, in, write_heads(o), write_heads(u), floats(last));
  const auto dout = problem.do_BNTV.to(torch::kFloat32),
             dlast = problem.dlast_BNpKV.defined() ? problem.dlast_BNpKV.to(torch::kFloat32) : Tensor();
  const Tensor dr = like(scan.r_BNTK), dw = like(w), dk = like(scan.k_BNTK), dv = like(scan.v_BNTV),
               da = like(scan.a_BNTK), db = like(scan.b_BNTK), dfirst = like(scan.first_BNpKV), du = like(u),
               read = like(w), dbonus = torch::full({kB, kN, scan.parts, kH}, NAN, w.options());
  wkv_scan_backward_on_cpu(
      sizes, in, {.u = read_heads(u), .last = floats(last), .dout = read_heads(dout), .dlast = floats(dlast)},
      {.r = write_heads(dr),
       .w = write_heads(dw),
       .k = write_heads(dk),
       .v = write_heads(dv),
       .a = write_heads(da),
       .b = write_heads(db),
       .du = write_heads(du),
       .read = write_heads(read),
       .bonus = floats(dbonus),
       .first = floats(dfirst)});
  Named all{{"o", o}, {"last", last}, {"r", dr}, {"w", dw}, {"k", dk}, {"v", dv}};
  if (in.delta)
    all.emplace_back("a", da), all.emplace_back("b", db);
  else
    all.emplace_back("bonus", dbonus.sum(torch::IntArrayRef{0, 2}));
  if (dfirst.defined()) all.emplace_back("first", dfirst);
  return all;
}

void check_against(const Named& expected, const Named& found, const WkvCase& of) {
  REQUIRE(expected.size() == found.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    const auto& [name, x] = expected[i];
    REQUIRE(std::string(name) == found[i].first);
    const bool rounded = found[i].second.scalar_type() == torch::kBFloat16;
    // Products of up to T decays, each rounded; sums over 64 numbers and, of gradients, over tokens. w's
    // gradient is what is left of the sums of r dr and k dk over all later tokens, each of which was rounded
    // after 64 terms. What is kept in bfloat16 has 8 bits.
    const double of_tokens = std::string(name) == "w" ? 6e-8 * 8 * std::sqrt(of.T) : 0;
    const double size = std::max(x.abs().max().item<double>(), 1.0);
    const double worst = (found[i].second.to(torch::kCPU, torch::kFloat64) - x).abs().max().item<double>();
    INFO(of.text() << ": " << name << ": worst " << worst << " of " << size);
    CHECK(worst <= (rounded ? 0x1p-8 : 2e-5 + of_tokens) * size);
  }
}

void check_case(const WkvCase& of, const std::function<Named(const Problem&)>& kernels) {
  const Problem problem = random_problem(of);
  const auto twin = leaves_of(problem.scan, torch::kCPU, torch::kFloat64, false);
  check_against(by_autograd(problem, twin, wkv_twin), kernels(problem), of);
}

std::vector<WkvCase> cases(const std::vector<std::pair<int64_t, int64_t>>& lengths_and_parts) {
  std::vector<WkvCase> all;
  for (const auto& [T, parts] : lengths_and_parts)
    for (const bool delta : {false, true})
      for (const bool documents : {false, true})
        for (const bool begun : {false, true})
          all.push_back({T, parts, delta, documents, begun, begun == documents, begun});
  return all;
}

TEST_CASE(
    "the source of the kernels of RWKV-6 and RWKV-7, run on the CPU, gives outputs, states and gradients") {
  torch::manual_seed(6);
  for (const auto& of : cases({{1, 1}, {16, 1}, {37, 3}}))
    check_case(of, [&](const Problem& problem) {
      return by_emulation(problem, leaves_of(problem.scan, torch::kCPU, torch::kFloat32, of.half));
    });
}

TEST_CASE("the kernels of RWKV-6 and RWKV-7 give outputs, states and gradients on a GPU") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  torch::manual_seed(7);
  for (const auto& of : cases({{1, 1}, {15, 1}, {16, 1}, {63, 1}, {111, 4}, {513, 1}, {700, 2}}))
    check_case(of, [&](const Problem& problem) {
      const auto scan = leaves_of(problem.scan, torch::kCUDA, torch::kFloat32, of.half);
      REQUIRE(fits_wkv_scan(scan));
      return by_autograd(problem, scan, wkv_scan);
    });
}

// o, the state behind, and the gradients of r, w, k, v, the state before and what else there is.
template <class Wkv, class Recurrence>
std::vector<Tensor> layer_outcome(Wkv wkv, std::vector<Tensor*> inputs, const Recurrence& recurrence) {
  const auto out = recurrence(wkv);
  (out.o_BNTV.cos().sum() + out.state_BNKV.sin().sum()).backward();
  std::vector<Tensor> all{out.o_BNTV.detach(), out.state_BNKV.detach()};
  for (const auto* x : inputs) all.push_back(x->grad());
  for (auto& x : all) x = x.to(torch::kCPU, torch::kFloat64);
  return all;
}

TEST_CASE("RWKV-6 and RWKV-7 of a long sequence on a GPU, in parts, are those of the CPU") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  torch::manual_seed(8);
  const WkvCase of{1301, 1, true, false, true, false, false};
  const Problem delta = random_problem(of);
  auto starts = torch::zeros({kB, of.T}, torch::kInt64);
  for (const int64_t t : {0, 651, 652, 1000}) starts[1][t] = 1;
  const auto bonus = torch::randn({kN, kH}, torch::kFloat64);
  for (const bool is_delta : {false, true}) {
    std::vector<std::vector<Tensor>> outcomes;
    for (const auto device : {torch::kCPU, torch::kCUDA}) {
      const auto type = device == torch::kCPU ? torch::kFloat64 : torch::kFloat32;
      auto in = leaves_of(delta.scan, device, type, false);
      const auto state = in.first_BNpKV.detach().squeeze(2).clone().requires_grad_();
      const auto ids = starts.cumsum(1).to(device);
      if (is_delta) {
        const Wkv7 wkv{in.r_BNTK, in.w_BNTK, in.k_BNTK, in.v_BNTV, in.a_BNTK, in.b_BNTK, ids, state};
        outcomes.push_back(
            layer_outcome(wkv, {&in.r_BNTK, &in.w_BNTK, &in.k_BNTK, &in.v_BNTV, &in.a_BNTK, &in.b_BNTK},
                          [](const Wkv7& x) { return wkv7(x); }));
      } else {
        auto leaf = bonus.to(device, type, /*non_blocking=*/false, /*copy=*/true).requires_grad_();
        const Wkv6 wkv{in.r_BNTK, in.k_BNTK, in.v_BNTV, in.w_BNTK, leaf, ids, state};
        outcomes.push_back(layer_outcome(wkv, {&in.r_BNTK, &in.w_BNTK, &in.k_BNTK, &in.v_BNTV, &leaf},
                                         [](const Wkv6& x) { return wkv6(x); }));
      }
    }
    for (size_t i = 0; i < outcomes[0].size(); ++i) {
      const double size = std::max(1.0, outcomes[0][i].abs().max().item<double>());
      const double worst = (outcomes[1][i] - outcomes[0][i]).abs().max().item<double>();
      INFO((is_delta ? "delta" : "bonus") << ", tensor " << i << ": worst " << worst << " of " << size);
      CHECK(worst <= 5e-5 * size);
    }
  }
}

}  // namespace
}  // namespace attnlab::test
